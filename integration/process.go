package integration

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"flotilla/internal/gobuild"
)

// Process is one running flotilla. Its methods are safe for concurrent use.
type Process struct {
	cmd     *exec.Cmd
	ready   chan string   // the ready line, once
	done    chan struct{} // closed when the process is gone
	exitErr error         // valid after done
	logPath string
}

// ErrNotReady says that a process died or stayed silent before it printed its ready line.
var ErrNotReady = errors.New("process not ready")

// startProcess runs bin with args and env beside the present environment; standard error is appended to logPath.
func startProcess(bin, logPath string, env []string, args ...string) (*Process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &Process{cmd: exec.Command(bin, args...), ready: make(chan string, 1), done: make(chan struct{}), logPath: logPath}
	p.cmd.Stderr, p.cmd.Env = log, append(os.Environ(), env...)
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", bin, err)
	}
	go p.watch(stdout)
	return p, nil
}

// watch reads standard output to its end, then reaps the process.
func (p *Process) watch(stdout io.Reader) {
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if line := lines.Text(); strings.HasPrefix(line, "ready ") {
			p.ready <- line
			break
		}
	}
	_, _ = io.Copy(io.Discard, stdout)
	p.exitErr = p.cmd.Wait()
	close(p.done)
}

// WaitReady blocks until the ready line, the process's end, or ctx's.
func (p *Process) WaitReady(ctx context.Context) error {
	select {
	case line := <-p.ready:
		p.ready <- line // others may wait too
		return nil
	case <-p.done:
		return fmt.Errorf("%w: it ended (%v); last words: %s", ErrNotReady, p.exitErr, p.lastWords())
	case <-ctx.Done():
		return fmt.Errorf("%w: %w; last words: %s", ErrNotReady, ctx.Err(), p.lastWords())
	}
}

// Signal sends sig; a process that is gone already is no error.
func (p *Process) Signal(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// Kill is kill -9, and waits until the process is gone.
func (p *Process) Kill() error {
	err := p.Signal(syscall.SIGKILL)
	<-p.done
	return err
}

// Stop is SIGTERM, and waits until the process is gone; its exit code follows.
func (p *Process) Stop(ctx context.Context) (exitCode int, err error) {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return -1, err
	}
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return -1, fmt.Errorf("stop: %w; last words: %s", ctx.Err(), p.lastWords())
	}
}

// Exit waits until the process has ended by itself, and returns its exit code.
func (p *Process) Exit(ctx context.Context) (exitCode int, err error) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return -1, fmt.Errorf("still running: %w; last words: %s", ctx.Err(), p.lastWords())
	}
}

// lastWords returns the end of the process's log.
func (p *Process) lastWords() string {
	raw, err := os.ReadFile(p.logPath)
	if err != nil {
		return err.Error()
	}
	const tail = 2000
	return string(raw[max(0, len(raw)-tail):])
}

var binary struct {
	once sync.Once
	dir  string
	err  error
}

// Binary builds cmd/flotilla once per test process and returns its path. It holds the crash points, which are nothing without
// their variable.
func Binary() (string, error) {
	binary.once.Do(func() {
		if binary.dir, binary.err = os.MkdirTemp("", "flotilla-bin-"); binary.err != nil {
			return
		}
		binary.err = gobuild.Build(binary.dir, "crashpoints")
	})
	return filepath.Join(binary.dir, "flotilla"), binary.err
}

// removeBinary removes what Binary built.
func removeBinary() {
	if binary.dir != "" {
		_ = os.RemoveAll(binary.dir)
	}
}

// run executes the binary to its end within 30 s and returns what it printed on standard output.
func run(bin string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("%s %s: %w: %s", filepath.Base(bin), strings.Join(args, " "), err, stderr.String())
	}
	return out, nil
}
