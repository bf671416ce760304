# awk -f flood.awk TASK ATTEMPT SEED FOLDER EXIT FILLER: waves of lines as fast as they go, then a few at a time.
BEGIN {
  task = ARGV[1]; attempt = ARGV[2]; seed = ARGV[3]; folder = ARGV[4]; code = ARGV[5]; filler = ARGV[6]
  stop = folder "/stop"
  i = 0
  for (turn = 0; turn < 960; turn++) {
    if ((getline ignored < stop) >= 0) break
    count = turn % 8 == 0 && i < 12000 ? 4000 : 3
    for (n = 0; n < count; n++) {
      x = (seed * 7919 + i * 104729) % 65521
      printf "<%s/%d/o/%d> %s\n", task, attempt, i, substr(filler, x % 128 + 1, 20 + x % 100)
      i++
    }
    fflush()
    if (system("sleep 0.25; test -d " folder) != 0) break
  }
  close(stop)
  printf "%d 0\n", i > (folder "/wrote.new")
  close(folder "/wrote.new")
  system("mv " folder "/wrote.new " folder "/wrote")
  exit code
}
