package attempt

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strings"

	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
)

// standardKey returns the key of Webhook-Signature: the decoded bytes of a whsec_ secret, the UTF-8
// bytes of any other.
func standardKey(secret string) []byte {
	if encoded, found := strings.CutPrefix(secret, webhook.StandardSecretPrefix); found {
		if key, err := base64.StdEncoding.DecodeString(encoded); err == nil && len(key) > 0 {
			return key
		}
	}
	return []byte(secret)
}

// signer computes both signatures under one secret, for one goroutine at a time. It is pooled for
// its keyed hashes.
type signer struct {
	body     hash.Hash // keyed for X-Webhook-Signature
	standard hash.Hash // keyed for Webhook-Signature
	buffer   []byte
}

func newSigner(secret string) *signer {
	return &signer{body: hmac.New(sha256.New, []byte(secret)), standard: hmac.New(sha256.New, standardKey(secret)), buffer: make([]byte, 0, 256)}
}

// signBody returns the value of X-Webhook-Signature, which the verification function of the
// customers' documentation computes.
func (s *signer) signBody(body []byte) string {
	s.body.Reset()
	s.body.Write(body)
	s.buffer = s.body.Sum(s.buffer[:0])
	return hex.EncodeToString(s.buffer)
}

// signStandard returns the value of Webhook-Signature, as specified by
// https://www.standardwebhooks.com.
func (s *signer) signStandard(id, timestamp string, body []byte) string {
	s.standard.Reset()
	s.buffer = append(append(append(append(s.buffer[:0], id...), '.'), timestamp...), '.')
	s.standard.Write(s.buffer)
	s.standard.Write(body)
	sum := s.standard.Sum(s.buffer[:0])
	s.buffer = base64.StdEncoding.AppendEncode(append(sum, "v1,"...), sum)
	return string(s.buffer[len(sum):])
}
