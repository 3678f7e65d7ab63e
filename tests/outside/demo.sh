# Sourced by the scripts beside it: opens a demo bank in a folder of its own, on a free port, and closes it in the end.
# `demo PROGRAM FLAG …` sets `url` and `folder`; the bank's authority is "$folder/bank/tls/ca.pem".

folder=$(mktemp -d)
server=
close_demo() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$folder"
}
trap close_demo EXIT

demo() {
    local program=$1
    shift
    "$program" demo --data "$folder/bank" --set listen=127.0.0.1:0 --set log_level=error "$@" >"$folder/said" &
    server=$!
    url=
    for _ in $(seq 300); do
        url=$(grep -o 'https://127[0-9.:]*' "$folder/said" | head -1 || true)
        [ -z "$url" ] || return 0
        kill -0 "$server"
        sleep 0.1
    done
    echo "the server did not open" >&2
    return 1
}
