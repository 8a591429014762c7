package rollout

import "fmt"

// exitMeaning says what shells, runtimes and kernels mean by an exit code; it
// is empty for codes that only the program knows.
func exitMeaning(code int32) string {
	signals := map[int32]string{
		1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE",
		9: "SIGKILL", 11: "SIGSEGV", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM", 31: "SIGSYS",
	}
	switch {
	case code == 126:
		return "the command is there but may not be executed"
	case code == 127:
		return "the command was not found"
	case code == 128:
		return "the runtime could not start it"
	case code == 255:
		return "exit status out of range, or the runtime lost it"
	case code > 128 && signals[code-128] != "":
		return signals[code-128]
	case code > 128 && code < 128+65:
		return fmt.Sprintf("signal %d", code-128)
	}
	return ""
}

// exitCure says what usually mends a program that ends with code.
func exitCure(code int32) string {
	switch code {
	case 126:
		return "make the file executable and right for the node's architecture"
	case 127:
		return "see command and args, and whether the image has that file and its interpreter"
	case 134, 139:
		return "the program crashed; see its log and the libraries in its image"
	case 137:
		return "something killed it: see memory limits, liveness probes and terminationGracePeriodSeconds"
	}
	return "see the log; the program ends by itself"
}
