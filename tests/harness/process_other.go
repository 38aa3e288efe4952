//go:build !linux

package harness

import "syscall"

// endWithParent has no counterpart here: what outlives a test process that was killed stays.
func endWithParent(*syscall.SysProcAttr) {}
