# Requests come one after the other while the service restarts: each is answered.
cat >/tmp/ask.py <<'PYTHON'
import os, sys, urllib.request

count = failed = 0
while not os.path.exists("/tmp/enough"):
    try:
        urllib.request.urlopen(sys.argv[1], timeout=20).read()
        count += 1
    except OSError as error:
        failed += 1
        print(error, file=sys.stderr)
print(count, failed)
PYTHON
/usr/bin/python3 /tmp/ask.py $web/healthz >/tmp/asked &
asking=$!
for _ in 1 2; do systemctl restart checkpointd; checkpointd status >/dev/null || echo "status failed"; done
touch /tmp/enough
wait $asking
echo "asked: $(cat /tmp/asked)"
grep -qE '^[1-9][0-9]* 0$' /tmp/asked && ok "nobody is refused while it restarts"
