# perl script.pl SHAPE TASK ATTEMPT SEED FOLDER EXIT FILLER: all shapes that are more than lines at a pace.
use strict;
use warnings;
use IO::Handle;
use Time::HiRes qw(sleep);

my ($shape, $task, $attempt, $seed, $folder, $code, $filler) = @ARGV;
my %count = (o => 0, e => 0);
my $begun = time;

sub x { my ($i, $source) = @_; ($seed * 7919 + $i * 104729 + ($source eq 'e' ? 31 : 0)) % 65521 }
sub head { my ($i, $source) = @_; "<$task/$attempt/$source/$i>" }
sub filler { my ($x) = @_; substr $filler, $x % 128, 20 + $x % 100 }
sub plain { my ($i, $source) = @_; head($i, $source) . ' ' . filler(x($i, $source)) }
# A script that lost its folder has lost its master.
sub over { -e "$folder/stop" || !-d $folder || time - $begun > 240 }

my %shapes = (
  # So many at once; every other time a line is left standing in the middle.
  bursts => sub {
    while (!over()) {
      my $last = $count{o} + 1 + x($count{o}, 'o') % 400;
      print plain($count{o}++, 'o'), "\n" while $count{o} < $last;
      STDOUT->flush if $last % 2;
      sleep 0.3;
    }
  },
  # Most are longer than a piece may be.
  long => sub {
    while (!over()) {
      my $i = $count{o}++;
      my $line = plain($i, 'o');
      $line .= join '', map { "|$attempt.$i.$_" } 0 .. 5000 + x($i, 'o') - 1 if $i % 4 == 3;
      print $line, "\n";
      STDOUT->flush;
      sleep($i % 4 == 3 ? 0.8 : 0.1);
    }
  },
  # What a terminal would show: a question that waits for its answer, a bar that grows.
  prompts => sub {
    while (!over()) {
      my $i = $count{o}++;
      if ($i % 3 == 1) {
        say_now(plain($i, 'o') . '? ');
        sleep 0.3;
        say_now('answer ' . x($i, 'o') . "\n");
      } elsif ($i % 3 == 2) {
        say_now(head($i, 'o') . ' 0%');
        for my $tenth (1 .. 10) {
          sleep 0.06;
          say_now("\r" . $tenth * 10 . '%');
        }
        say_now("\n");
      } else {
        say_now(plain($i, 'o') . "\n");
      }
      sleep 0.05;
    }
  },
  both => sub {
    STDERR->autoflush(1);
    while (!over()) {
      for (1 .. 20) {
        say_now(plain($count{o}++, 'o') . "\n");
        print STDERR plain($count{e}++, 'e'), "\n" if $count{o} % 3 == 0;
      }
      sleep 0.1;
    }
  },
  # Bytes that are no text, line ends of another system, no text at all, and a secret.
  odd => sub {
    my %odd = (
      1 => "\xff\xfe \xc3\x28 \xe2\x82 end",
      2 => "a\0b",
      3 => "other line end\r",
      5 => "key $ENV{STORM_DEPLOY_TOKEN} end",
      6 => "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e \xf0\x9f\x99\x82",
      7 => "\ttab \e[31mred\e[0m one\rtwo",
    );
    while (!over()) {
      for my $kind (0 .. 7) {
        my $i = $count{o}++;
        say_now($kind == 0 ? plain($i, 'o') . "\n" : $kind == 4 ? "\n" : head($i, 'o') . " $odd{$kind}\n");
      }
      sleep 0.1;
    }
  },
);

sub say_now { print @_; STDOUT->flush }

$shapes{$shape}->();
STDOUT->flush;
open my $wrote, '>', "$folder/wrote.new" or die "$folder/wrote.new: $!";
print $wrote "$count{o} $count{e}\n";
close $wrote or die "$folder/wrote.new: $!";
rename "$folder/wrote.new", "$folder/wrote" or die "$folder/wrote: $!";
exit $code;
