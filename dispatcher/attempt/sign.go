package attempt

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// standardPrefix begins a secret of the Standard Webhooks kind, whose rest is the key in base64.
const standardPrefix = "whsec_"

// standardKey is the key of Webhook-Signature: the decoded bytes of a whsec_ secret, the UTF-8 bytes of any other.
func standardKey(secret string) []byte {
	if encoded, found := strings.CutPrefix(secret, standardPrefix); found {
		if key, err := base64.StdEncoding.DecodeString(encoded); err == nil && len(key) > 0 {
			return key
		}
	}
	return []byte(secret)
}

// signBody is the value of X-Webhook-Signature: what the verification function of the customers' documentation computes.
func signBody(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	var sum [sha256.Size]byte
	return hex.EncodeToString(mac.Sum(sum[:0]))
}

// signStandard is the value of Webhook-Signature, as https://www.standardwebhooks.com has it.
func signStandard(secret, id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, standardKey(secret))
	head := make([]byte, 0, 192)
	head = append(append(append(append(head, id...), '.'), timestamp...), '.')
	mac.Write(head)
	mac.Write(body)
	var sum [sha256.Size]byte
	signature := make([]byte, 0, 64)
	signature = append(signature, "v1,"...)
	return string(base64.StdEncoding.AppendEncode(signature, mac.Sum(sum[:0])))
}
