package store

// This file decides how a rediss:// server is trusted, and how it recognizes us.

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
)

// tlsFiles are the files that a rediss:// URL names; "" is none. They are read again for each
// connection: certificates are renewed while the process runs, often every few hours.
type tlsFiles struct{ ca, cert, key string }

// newTLSFiles returns nil for plain connections. It reads the files once, so that an error in them
// shows when the URL is set.
func newTLSFiles(u *url.URL, q url.Values) (*tlsFiles, error) {
	f := &tlsFiles{ca: q.Get("ca_file"), cert: q.Get("cert_file"), key: q.Get("key_file")}
	if u.Scheme != "rediss" {
		if f.ca != "" || f.cert != "" || f.key != "" {
			return nil, errors.New("the redis URL sets ca_file, cert_file or key_file, which need rediss://")
		}
		return nil, nil
	}
	if (f.cert == "") != (f.key == "") {
		return nil, errors.New("the redis URL needs cert_file and key_file together")
	}
	if _, err := f.read(""); err != nil {
		return nil, err
	}
	return f, nil
}

// read returns the configuration for one connection to a server of that name. Its errors name files
// and never show their content.
func (f *tlsFiles) read(server string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: server}
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, fmt.Errorf("reading the ca_file of the redis URL: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading the ca_file of the redis URL: %s contains no certificate", f.ca)
		}
	}
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, fmt.Errorf("reading the cert_file %s and the key_file %s of the redis URL: %w", f.cert, f.key, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
