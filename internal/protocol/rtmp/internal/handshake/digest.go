package handshake

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
)

// Kind is a kind of handshake.
type Kind uint8

// The kinds: without a digest, and the two layouts of a packet that carries one. Behind time and version, a packet
// of the digest handshake has two blocks of 764 bytes: one hides a digest, the other a key that only RTMPE uses.
const (
	// Simple is the handshake of the specification.
	Simple Kind = iota
	// Schema0 has the key's block first.
	Schema0
	// Schema1 has the digest's block first. Most encoders send this one.
	Schema1
)

// String returns the kind's name for logs.
func (k Kind) String() string {
	switch k {
	case Simple:
		return "simple"
	case Schema0:
		return "digest schema 0"
	case Schema1:
		return "digest schema 1"
	default:
		return fmt.Sprintf("kind %d", uint8(k))
	}
}

const (
	digestSize  = sha256.Size
	blockSize   = 764
	blockPlaces = blockSize - 4 - digestSize // where in a block the digest may be
)

// Versions of Adobe's that have the digest handshake: Flash Player 9.0.124.2, Flash Media Server 4.5.0.1.
const (
	clientVersion = "\x09\x00\x7C\x02"
	serverVersion = "\x04\x05\x00\x01"
)

// Keys: the short ones sign C1 and S1, the long ones C2 and S2.
const (
	clientKey = "Genuine Adobe Flash Player 001"
	serverKey = "Genuine Adobe Flash Media Server 001"

	keyTail = "\xF0\xEE\xC2\x4A\x80\x68\xBE\xE8\x2E\x00\xD0\xD1\x02\x9E\x7E\x57" +
		"\x6E\xEC\x5D\x2D\x29\x80\x6F\xAB\x93\xB8\xE6\x36\xCF\xEB\x31\xAE"

	clientKeyLong = clientKey + keyTail
	serverKeyLong = serverKey + keyTail
)

// findDigest returns in which layout a C1 or S1 is signed with key, and the digest; Simple if in none.
func findDigest(packet []byte, key string) (Kind, []byte) {
	for _, kind := range []Kind{Schema1, Schema0} {
		i := digestPlace(packet, kind)
		found := packet[i : i+digestSize]
		if hmac.Equal(found, mac([]byte(key), packet[:i], packet[i+digestSize:])) {
			return kind, found
		}
	}
	return Simple, nil
}

// sign puts the digest into a C1 or S1 that is complete otherwise.
func sign(packet []byte, kind Kind, key string) {
	i := digestPlace(packet, kind)
	copy(packet[i:], mac([]byte(key), packet[:i], packet[i+digestSize:]))
}

// seal ends a C2 or S2 with the answer to the digest that the peer sent.
func seal(packet []byte, key string, proof []byte) {
	i := len(packet) - digestSize
	copy(packet[i:], mac(mac([]byte(key), proof), packet[:i]))
}

// digestPlace returns where the packet has its digest: the first four bytes of the block, summed up, say it.
func digestPlace(packet []byte, kind Kind) int {
	block := 8
	if kind == Schema0 {
		block += blockSize
	}
	sum := 0
	for _, b := range packet[block : block+4] {
		sum += int(b)
	}
	return block + 4 + sum%blockPlaces
}

func mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}
