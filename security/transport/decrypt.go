package transport

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
)

// The parts of an encrypted PKCS #8 key (RFC 5208) by password-based encryption of
// the second form (RFC 8018), which is what openssl and keytool write.
type (
	encryptedKey struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	pbes2Params struct {
		Derivation, Encryption pkix.AlgorithmIdentifier
	}
	pbkdf2Params struct {
		Salt       []byte
		Iterations int
		KeyLength  int                      `asn1:"optional"`
		Hash       pkix.AlgorithmIdentifier `asn1:"optional"`
	}
)

const (
	oidPBES2  = "1.2.840.113549.1.5.13"
	oidPBKDF2 = "1.2.840.113549.1.5.12"
	// maxIterations bounds the work that a file can ask for; tools write some thousands.
	maxIterations = 10_000_000
)

// pseudoRandom are the functions of PBKDF2; without a name it is SHA-1.
var pseudoRandom = map[string]func() hash.Hash{
	"": sha1.New, "1.2.840.113549.2.7": sha1.New,
	"1.2.840.113549.2.9": sha256.New, "1.2.840.113549.2.10": sha512.New384, "1.2.840.113549.2.11": sha512.New,
}

// blockCipher is a cipher in CBC mode, and the length of its key.
type blockCipher struct {
	key int
	new func(key []byte) (cipher.Block, error)
}

var blockCiphers = map[string]blockCipher{
	"2.16.840.1.101.3.4.1.2": {16, aes.NewCipher}, "2.16.840.1.101.3.4.1.22": {24, aes.NewCipher}, "2.16.840.1.101.3.4.1.42": {32, aes.NewCipher},
	"1.2.840.113549.3.7": {24, des.NewTripleDESCipher},
}

// decrypt takes the password off a key.
func decrypt(der []byte, password Secret) ([]byte, error) {
	if password == "" {
		return nil, errors.New("it needs a password, and ssl.key.password is not set")
	}
	var encrypted encryptedKey
	if _, err := asn1.Unmarshal(der, &encrypted); err != nil {
		return nil, err
	}
	if encrypted.Algorithm.Algorithm.String() != oidPBES2 {
		return nil, errors.New("its encryption is not PBES2; write it anew by openssl pkcs8 -topk8 -v2 aes256")
	}
	var params pbes2Params
	if _, err := asn1.Unmarshal(encrypted.Algorithm.Parameters.FullBytes, &params); err != nil {
		return nil, err
	}
	is, known := blockCiphers[params.Encryption.Algorithm.String()]
	if !known {
		return nil, fmt.Errorf("its cipher %s is not known", params.Encryption.Algorithm)
	}
	key, err := deriveKey(params.Derivation, password, is.key)
	if err != nil {
		return nil, err
	}
	var iv []byte
	if _, err := asn1.Unmarshal(params.Encryption.Parameters.FullBytes, &iv); err != nil {
		return nil, err
	}
	block, err := is.new(key)
	if err != nil {
		return nil, err
	}
	return openCBC(block, iv, encrypted.Data)
}

func deriveKey(by pkix.AlgorithmIdentifier, password Secret, size int) ([]byte, error) {
	if by.Algorithm.String() != oidPBKDF2 {
		return nil, fmt.Errorf("its key derivation %s is not PBKDF2", by.Algorithm)
	}
	var params pbkdf2Params
	if _, err := asn1.Unmarshal(by.Parameters.FullBytes, &params); err != nil {
		return nil, err
	}
	random, known := pseudoRandom[params.Hash.Algorithm.String()]
	if !known || params.Iterations < 1 || params.Iterations > maxIterations {
		return nil, fmt.Errorf("its key derivation with %s and %d iterations is not one that is taken", params.Hash.Algorithm, params.Iterations)
	}
	return pbkdf2.Key(random, string(password), params.Salt, params.Iterations, size)
}

var errPassword = errors.New("the password is not the right one")

// openCBC decrypts data, and takes off what fills the last block.
func openCBC(block cipher.Block, iv, data []byte) ([]byte, error) {
	size := block.BlockSize()
	if len(iv) != size || len(data) == 0 || len(data)%size != 0 {
		return nil, errors.New("it is cut off")
	}
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, data)
	fill := int(plain[len(plain)-1])
	if fill < 1 || fill > size {
		return nil, errPassword
	}
	for _, b := range plain[len(plain)-fill:] {
		if int(b) != fill {
			return nil, errPassword
		}
	}
	return plain[:len(plain)-fill], nil
}
