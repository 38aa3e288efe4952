package store

// This file is about secrets that stand in files: the password of a data server above all.

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// setPasswordFile makes each connection to a data server read its password anew: it may have been changed while we run.
func (t *target) setPasswordFile(path string) {
	as := func(user string) func(context.Context) (string, string, error) {
		return func(context.Context) (string, string, error) {
			password, err := readPassword(path)
			return user, password, err
		}
	}
	switch t.shape {
	case sentinel:
		t.sentinel.CredentialsProviderContext = as(t.sentinel.Username)
	case cluster:
		t.cluster.CredentialsProviderContext = as(t.cluster.Username)
	default:
		t.single.CredentialsProviderContext = as(t.single.Username)
	}
}

// checkPasswordFile reads the password of the data server once, so that what is wrong with its file shows where the URL is given.
func checkPasswordFile(u *url.URL, q url.Values, s shape) error {
	path := q.Get("password_file")
	if path == "" {
		return nil
	}
	_, inURL := u.User.Password()
	if s == sentinel {
		inURL = q.Has("password") // with master_name the URL's userinfo is the Sentinels'
	}
	if inURL {
		return errors.New("the redis URL has a password and a password_file: give one of them")
	}
	_, err := readPassword(path)
	return err
}

// readPassword reads what password_file names. Its errors name the file and show nothing of what it holds.
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

// readSecret reads a file that holds one secret; one trailing newline is dropped.
func readSecret(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	s := strings.TrimSuffix(string(b), "\n")
	return strings.TrimSuffix(s, "\r"), nil
}
