# sh trickle.sh TASK ATTEMPT SEED FOLDER EXIT FILLER: line after line, at a walking pace.
i=0
while [ -d "$4" ] && [ ! -e "$4/stop" ] && [ $i -lt 4800 ]; do
  printf '<%s/%d/o/%d> x %d\n' "$1" "$2" $i $((($3 * 7919 + i * 104729) % 65521)) || exit 1
  i=$((i + 1))
  sleep 0.05
done
echo "$i 0" > "$4/wrote.new"
mv "$4/wrote.new" "$4/wrote"
exit "$5"
