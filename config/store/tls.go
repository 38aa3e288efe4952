package store

// This file is about how a rediss:// server is trusted, and how it knows us.

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
)

// TLSConfig is nil for plain connections. The name to verify is set for each dial, since Sentinel and Cluster lead to further hosts.
func tlsConfig(u *url.URL, q url.Values) (*tls.Config, error) {
	ca, cert, key := q.Get("ca_file"), q.Get("cert_file"), q.Get("key_file")
	if u.Scheme != "rediss" {
		if ca != "" || cert != "" || key != "" {
			return nil, errors.New("the redis URL sets ca_file, cert_file or key_file, which need rediss://")
		}
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("reading the ca_file of the redis URL: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading the ca_file of the redis URL: %s holds no certificate", ca)
		}
	}
	if (cert == "") != (key == "") {
		return nil, errors.New("the redis URL needs cert_file and key_file together")
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("reading the cert_file and key_file of the redis URL: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
