// This file has code that verifies signatures, by language. A test runs each sample.

export const samples = {
  Python: `import hashlib
import hmac


def verify_signature(payload: bytes, signature: str | None, secret: str) -> bool:
    """payload: the exact bytes of the body.
    signature: the header X-Webhook-Signature, or None if it is missing."""
    expected = hmac.new(secret.encode("utf-8"), payload, hashlib.sha256).hexdigest()
    given = (signature or "").encode("utf-8", "replace")
    return hmac.compare_digest(expected.encode("ascii"), given)
`,
  Node: `import { createHmac, timingSafeEqual } from "node:crypto";

// payload: the exact bytes of the body, a Buffer (with Express: express.raw).
// signature: the header X-Webhook-Signature.
export function verifySignature(payload, signature, secret) {
  const expected = createHmac("sha256", secret).update(payload).digest();
  const given = Buffer.from(signature ?? "", "hex");
  return given.length === expected.length && timingSafeEqual(given, expected);
}
`,
  Go: `package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// VerifySignature takes the exact bytes of the body and the header X-Webhook-Signature.
func VerifySignature(payload []byte, signature, secret string) bool {
	given, err := hex.DecodeString(signature)
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(payload)
	return hmac.Equal(given, mac.Sum(nil))
}
`,
};
