package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
)

// maxLineBytes bounds what is typed as one message.
const maxLineBytes = 64 << 10

// console prints the conversation and sends what is typed, until /quit or the end of ctx, and of the input if stay is not
// set. It returns when it has printed everything.
func console(ctx context.Context, c *chat, in io.Reader, out io.Writer, stay bool) error {
	ctx, cancel := context.WithCancel(ctx)
	p := &printer{out: out}
	var printing sync.WaitGroup
	printing.Go(func() { p.follow(ctx, c.room) })
	defer printing.Wait()
	defer cancel()
	typed, failed := make(chan string), make(chan error, 1)
	go readLines(ctx, in, typed, failed) // it ends with the program if nothing more is typed: a read cannot be broken off
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			if err != nil {
				return fmt.Errorf("read the console: %w", err)
			}
			if !stay {
				return nil
			}
			<-ctx.Done() // the page is still there
			return nil
		case text := <-typed:
			if quit := c.enter(text, p); quit {
				return nil
			}
		}
	}
}

func readLines(ctx context.Context, in io.Reader, typed chan<- string, failed chan<- error) {
	s := bufio.NewScanner(in)
	s.Buffer(nil, maxLineBytes)
	for s.Scan() {
		select {
		case typed <- s.Text():
		case <-ctx.Done():
			return
		}
	}
	failed <- s.Err()
}

// enter does what a typed line says.
func (c *chat) enter(text string, p *printer) (quit bool) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
	case text == "/quit":
		return true
	case strings.HasPrefix(text, "/"):
		answer, ok := c.command(text)
		if !ok {
			answer = commandHelp + "\n"
		}
		p.print(answer)
	default:
		if err := c.send(text); err != nil {
			p.print("not sent: " + err.Error() + "\n")
		}
	}
	return false
}

// printer keeps what several goroutines print apart.
type printer struct {
	mu  sync.Mutex
	out io.Writer
}

func (p *printer) print(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = io.WriteString(p.out, text) // a console that is gone has nobody to tell
}

// follow prints the conversation as it goes on, and what is left of it when ctx has ended.
func (p *printer) follow(ctx context.Context, r *room) {
	for n := 0; ; {
		lines, next, changed := r.since(n)
		for _, l := range lines {
			p.print(format(l))
		}
		n = next
		select {
		case <-changed:
		case <-ctx.Done():
			lines, _, _ := r.since(n)
			for _, l := range lines {
				p.print(format(l))
			}
			return
		}
	}
}

// format makes a line of text of a line of the conversation.
func format(l line) string {
	at := l.At.Local().Format("15:04:05")
	if l.Sender == "" {
		return fmt.Sprintf("%s * %s\n", at, printable(l.Text))
	}
	return fmt.Sprintf("%s %s: %s\n", at, l.Sender, printable(l.Text))
}

// printable takes what would control the terminal out of a text that somebody else has written.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
