package config

// This file is about the text of an API key: how it is made, and what can be said of it without asking Redis.

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"hash/crc32"
	"io"
)

const (
	// specification.md, section 5: what follows the prefix has 16 to 200 characters of A-Z a-z 0-9 _ -
	minKeyRest = 16
	maxKeyRest = 200

	randomDigits   = 43 // of 62: 256.03 bits
	checksumDigits = 6  // of 62: the 32 bits of a CRC

	base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// MaxKeyLength is how many bytes long a key is at most.
const MaxKeyLength = len(KeyPrefix) + maxKeyRest

// ValidKey says whether s has the form of an API key: KeyPrefix and 16 to 200 characters of A-Z a-z 0-9 _ -
func ValidKey(s string) bool {
	if len(s) < len(KeyPrefix)+minKeyRest || len(s) > MaxKeyLength || s[:len(KeyPrefix)] != KeyPrefix {
		return false
	}
	for i := len(KeyPrefix); i < len(s); i++ {
		if !keyByte[s[i]] {
			return false
		}
	}
	return true
}

// ValidKeyByte says whether c may follow the prefix of a key.
func ValidKeyByte(c byte) bool { return keyByte[c] }

// keyByte marks the bytes that may follow the prefix: a table, since each request's key is judged by it.
var keyByte = func() (t [256]bool) {
	for _, c := range []byte(base62 + "_-") {
		t[c] = true
	}
	return t
}()

// GenerateKey returns a new API key: the prefix, at least 256 random bits, and a checksum of both. With nil it draws from crypto/rand,
// which never fails; a reader that fails makes it panic.
func GenerateKey(random io.Reader) string {
	if random == nil {
		random = rand.Reader
	}
	body := KeyPrefix + randomBase62(random, randomDigits)
	return body + checksum(body)
}

// ChecksumOK says whether a key ends in the checksum that keys made here have. Keys made elsewhere have none, so that this refuses no key
// by itself.
func ChecksumOK(key string) bool {
	if len(key) <= len(KeyPrefix)+checksumDigits {
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

// HashKey returns the sha256 hex of the whole key, by which it is found in Redis.
func HashKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// hintOf returns what of a key may be shown: its prefix and its last 4 characters.
func hintOf(key string) string {
	if !ValidKey(key) {
		return ""
	}
	return KeyPrefix + "..." + key[len(key)-4:]
}

// randomBase62 draws n digits of base 62, each equally likely.
func randomBase62(random io.Reader, n int) string {
	const fair = 62 * 4 // bytes from here on would make the first digits likelier
	out := make([]byte, 0, n)
	buf := make([]byte, n)
	for {
		if _, err := io.ReadFull(random, buf); err != nil {
			panic("config: reading random bytes: " + err.Error())
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
