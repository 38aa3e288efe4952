package api

import "regexp"

var idPattern = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)

func validID(s string) bool { return idPattern.MatchString(s) }
