# The function of the customers' documentation, as it stands there, and a line that calls it:
# verify.py SIGNATURE SECRET, the body on standard input.
import sys
import hmac
import hashlib

def verify_signature(payload, signature, secret):
    expected = hmac.new(
        secret.encode('utf-8'),
        payload.encode('utf-8'),
        hashlib.sha256
    ).hexdigest()
    return hmac.compare_digest(expected, signature)

sys.exit(0 if verify_signature(sys.stdin.buffer.read().decode('utf-8'), sys.argv[1], sys.argv[2]) else 1)
