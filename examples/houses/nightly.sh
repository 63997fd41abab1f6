#!/bin/sh
# One night: train for an hour on the rows that are new, publish the model where it is not worse, predict.
# Exit status: 0 done, nothing to do, or not decided: the old model stays, or the first one trains on in the next night; 3 the
# new model is worse; else that of the command that failed.
set -eu
cd "${FOLDER:-$(dirname "$0")}"
budget=${BUDGET:-1h}

# Two nights must not overlap. The kernel opens the lock when this process ends, however it ends.
exec 9>night.lock
flock -n 9 || { echo "an earlier night is still at work"; exit 0; }

# Whether the run of the night is a result: it has finished, or its time has ended it. Only the first run, whose rows are
# most of the table and train once, goes on until it has finished.
is_result() {
    state='finished|paused'
    [ -f published ] || state=finished
    grep -Eq "\"state\": \"($state)\"" "runs/$night/status.json"
}

# The run of tonight, or of the night that was killed. It has its own copy of the table: a run goes on with the rows
# that it began with, and the table may grow meanwhile.
status=0
if [ -f tonight ] && [ -d "runs/$(cat tonight)" ]; then
    night=$(cat tonight)
    is_result || stopcli resume "runs/$night" --time-budget "$budget" || status=$?
else
    night=$(date +%Y%m%d-%H%M%S)
    mkdir -p tables
    cp houses.csv "tables/$night.csv"
    echo "$night" > tonight
    if [ -f published ]; then
        # Few new rows at the first night's rate would make it forget the old ones.
        stopcli fit "tables/$night.csv" --target price --init-from "runs/$(cat published)" --rows new \
            --learning-rate 0.0001 --epochs 1000 --patience 20 \
            --time-budget "$budget" --run-dir "runs/$night" || status=$?
    else
        stopcli fit "tables/$night.csv" --target price --split hash:id \
            --epochs 1000 --patience 20 \
            --time-budget "$budget" --run-dir "runs/$night" || status=$?
    fi
fi
case $status in
    0) ;;
    5) rm tonight "tables/$night.csv"; echo "no new rows"; exit 0 ;;
    *) exit "$status" ;;
esac
if ! is_result; then
    echo "$night, the first run, has not finished; the next night goes on with it"
    exit 0
fi

# The gate. The first model has none before it.
if [ -f published ]; then
    stopcli compare "runs/$(cat published)" "runs/$night" --metric test_rmse --require not-worse --by 1% \
        --run-dir "runs/$night-gate" || status=$?
fi
case $status in
    0) echo "$night" > published.new; mv published.new published ;;
    # The rows of a night that is not published are new again in the next one.
    3) echo "$night is worse than $(cat published), which stays" ;;
    4) echo "$night cannot be told from $(cat published), which stays" ;;
    *) exit "$status" ;;
esac
rm tonight

stopcli predict "runs/$(cat published)" today.csv --to "prices-$night.csv"
[ "$status" -ne 3 ] || exit 3
