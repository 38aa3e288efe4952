package harness

import "syscall"

// endWithParent makes the kernel kill the process if the test process dies without cleanup.
func endWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
