#!/bin/sh
# A build as they are: phases, warnings, a progress bar, a burst of test output, and a failure at the end (exit code 3).
# It takes about nine seconds and needs a POSIX shell with awk and a sleep that takes fractions.
#
#   BUILD_LINE_COUNT_FILE  if set: the number of lines written (stdout and stderr) is written there at the end
#   BUILD_BURST            lines of the burst, 50000 if unset
#   BUILD_PAUSE            seconds of each pause, 0.1 if unset; 0 for a build without pauses
#   DEPLOY_TOKEN           shows in the output, where a log must not show it

burst=${BUILD_BURST:-50000}
pause=${BUILD_PAUSE:-0.1}
: "${DEPLOY_TOKEN:=dpl-5f0c2a9e7b3d41868c04}"
export DEPLOY_TOKEN
lines=0

bold=$(printf '\033[1m')
green=$(printf '\033[32m')
yellow=$(printf '\033[33m')
red=$(printf '\033[31m')
plain=$(printf '\033[0m')

say() {
  printf '%s\n' "$1"
  lines=$((lines + 1))
}

complain() {
  printf '%s\n' "$1" >&2
  lines=$((lines + 1))
}

# Waits n pauses.
wait_a_bit() {
  case $pause in 0 | 0.0) return ;; esac
  i=0
  while [ $i -lt "$1" ]; do
    sleep "$pause"
    i=$((i + 1))
  done
}

phase() {
  say "${bold}==> $1${plain}"
  wait_a_bit 3
}

# One line that is drawn over and over, as tools do that think of a terminal.
progress() {
  percent=0
  while [ $percent -le 100 ]; do
    printf '\r%s %3d%%' "$1" $percent
    wait_a_bit 1
    percent=$((percent + 5))
  done
  printf '\n'
  lines=$((lines + 1))
}

phase 'Checking out'
say "INFO  branch main at 3f9c2d1, $(uname -s)"
say 'DEBUG submodules: none'
say 'コミットメッセージ: ログの配信を速くする 🚀'
wait_a_bit 5

phase 'Installing dependencies'
progress 'downloading'
complain "${yellow}warning${plain} left-pad@1.3.0: this package is no longer maintained"
say "${green}✔${plain} added 312 packages"
wait_a_bit 5

phase 'Compiling'
for module in core store wire viewer 日本語フォント; do
  say "INFO  compiling $module"
  wait_a_bit 3
done
complain 'WARN  src/wire.c:214: comparison of integers of different signs'
say '{"level":"info","msg":"link done","objects":118,"elapsed_ms":1412}'
say ''
wait_a_bit 5

phase "Testing ($burst cases)"
awk -v n="$burst" 'BEGIN {
  for (i = 1; i <= n; i++) {
    printf "ok %d - case %05d of the suite passes, as it should, in %d.%02d ms 🙂\n", i, i, i % 7, i % 100
  }
}'
lines=$((lines + burst))
complain "${red}not ok${plain} - the retry counter is reset after a success"
wait_a_bit 10

phase 'Deploying'
say "INFO  logging in with token $DEPLOY_TOKEN"
# Made up, in the shape of a real one.
say 'DEBUG git remote: https://ci:ghp_abcdefghijklmnopqrstuvwxyz0123456789@git.example.com/app.git'
wait_a_bit 10
complain "${red}ERROR${plain} deployment refused: 1 test failed"
complain '結果: 失敗 ❌'
say "wrote $((lines + 1)) lines"

if [ -n "$BUILD_LINE_COUNT_FILE" ]; then
  echo "$lines" >"$BUILD_LINE_COUNT_FILE"
fi
exit 3
