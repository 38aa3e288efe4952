package apikey

// This file is about the form of an API key: how a key is generated, and what can be checked
// without Redis.

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"hash/crc32"
	"io"
)

const (
	// specification.md, section 5: the prefix is followed by 16 to 200 characters of
	// A-Z a-z 0-9 _ -
	minKeyRest = 16
	maxKeyRest = 200

	randomDigits   = 43 // of 62: 256.03 bits
	checksumDigits = 6  // of 62: the 32 bits of a CRC

	base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// MaxLength is the length of the longest key, in bytes.
const MaxLength = len(Prefix) + maxKeyRest

// Valid reports whether s has the form of an API key: Prefix and 16 to 200 characters of
// A-Z a-z 0-9 _ -
func Valid(s string) bool {
	if len(s) < len(Prefix)+minKeyRest || len(s) > MaxLength || s[:len(Prefix)] != Prefix {
		return false
	}
	for i := len(Prefix); i < len(s); i++ {
		if !keyByte[s[i]] {
			return false
		}
	}
	return true
}

// ValidByte reports whether c may follow the prefix of a key.
func ValidByte(c byte) bool { return keyByte[c] }

// keyByte marks the bytes that may follow the prefix. It is a table because every request uses it.
var keyByte = func() (t [256]bool) {
	for _, c := range []byte(base62 + "_-") {
		t[c] = true
	}
	return t
}()

// Generate returns a new API key: the prefix, at least 256 random bits, and a checksum of both.
// With nil it reads crypto/rand, which never fails; it panics if another reader fails.
func Generate(random io.Reader) string {
	if random == nil {
		random = rand.Reader
	}
	body := Prefix + randomBase62(random, randomDigits)
	return body + checksum(body)
}

// ChecksumOK reports whether a key ends in the checksum that keys generated here have. Keys that
// were generated elsewhere have none, so a wrong checksum alone is no reason to refuse a key.
func ChecksumOK(key string) bool {
	if len(key) <= len(Prefix)+checksumDigits {
		return false
	}
	at := len(key) - checksumDigits
	return checksum(key[:at]) == key[at:]
}

// checksum is the CRC-32 (IEEE) of body in 6 digits of base 62.
func checksum(body string) string {
	n := crc32.ChecksumIEEE([]byte(body))
	var digits [checksumDigits]byte
	for i := checksumDigits - 1; i >= 0; i-- {
		digits[i] = base62[n%62]
		n /= 62
	}
	return string(digits[:])
}

// Hash returns the sha256 hex of the whole key, which names its record in Redis.
func Hash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// hintOf returns the part of a key that may be shown: its prefix and its last 4 characters.
func hintOf(key string) string {
	if !Valid(key) {
		return ""
	}
	return Prefix + "..." + key[len(key)-4:]
}

// randomBase62 draws n digits of base 62, each equally likely.
func randomBase62(random io.Reader, n int) string {
	const fair = 62 * 4 // bytes from here on would make the first 8 digits likelier
	out := make([]byte, 0, n)
	buf := make([]byte, n)
	for {
		if _, err := io.ReadFull(random, buf); err != nil {
			panic("apikey: reading random bytes: " + err.Error())
		}
		for _, b := range buf {
			if b < fair {
				out = append(out, base62[b%62])
				if len(out) == n {
					return string(out)
				}
			}
		}
	}
}
