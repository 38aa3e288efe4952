package store

// This file reads secrets from files, above all the password of a data server.

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// setPasswordFile makes each connection to a data server read the password file again, since the
// password may change while the process runs.
func (t *target) setPasswordFile(path string) {
	credentialsOf := func(user string) func(context.Context) (string, string, error) {
		return func(context.Context) (string, string, error) {
			password, err := readPassword(path)
			return user, password, err
		}
	}
	switch t.shape {
	case sentinel:
		t.sentinel.CredentialsProviderContext = credentialsOf(t.sentinel.Username)
	case cluster:
		t.cluster.CredentialsProviderContext = credentialsOf(t.cluster.Username)
	default:
		t.single.CredentialsProviderContext = credentialsOf(t.single.Username)
	}
}

// checkPasswordFile reads the password of the data server once, so that an error in its file shows
// when the URL is set.
func checkPasswordFile(u *url.URL, q url.Values, s shape) error {
	path := q.Get("password_file")
	if path == "" {
		return nil
	}
	_, inURL := u.User.Password()
	if s == sentinel {
		inURL = q.Has("password") // with master_name the userinfo is that of the Sentinels
	}
	if inURL {
		return errors.New("the redis URL has a password and a password_file: give one of them")
	}
	_, err := readPassword(path)
	return err
}

// readPassword reads a password_file. Its errors name the file and never show its content.
func readPassword(path string) (string, error) {
	p, err := readSecret(path)
	if err != nil {
		return "", fmt.Errorf("reading the password_file of the redis URL: %w", err)
	}
	if p == "" {
		return "", fmt.Errorf("reading the password_file of the redis URL: %s is empty", path)
	}
	return p, nil
}

// readSecret reads a file with one secret, without one trailing newline.
func readSecret(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	s := strings.TrimSuffix(string(b), "\n")
	return strings.TrimSuffix(s, "\r"), nil
}
