package main

import (
	"net"
	"strconv"
	"sync"
	"sync/atomic"
)

// meter is a TCP relay that counts bytes in both directions: what a connection costs whoever pays for it, protocol
// included, TCP and IP headers not.
type meter struct {
	listener net.Listener
	target   string
	up, down atomic.Int64
	group    sync.WaitGroup
	mu       sync.Mutex
	open     []net.Conn
}

func startMeter(port int) (*meter, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m := &meter{listener: l, target: "127.0.0.1:" + strconv.Itoa(port)}
	m.group.Go(m.accept)
	return m, nil
}

func (m *meter) port() int    { return m.listener.Addr().(*net.TCPAddr).Port }
func (m *meter) bytes() int64 { return m.up.Load() + m.down.Load() }

func (m *meter) accept() {
	for {
		client, err := m.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", m.target)
		if err != nil {
			_ = client.Close() // the client tries again
			continue
		}
		m.mu.Lock()
		m.open = append(m.open, client, server)
		m.mu.Unlock()
		m.group.Go(func() { relay(server, client, &m.up) })
		m.group.Go(func() { relay(client, server, &m.down) })
	}
}

func relay(to, from net.Conn, count *atomic.Int64) {
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		count.Add(int64(n))
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (m *meter) close() {
	_ = m.listener.Close()
	m.mu.Lock()
	for _, c := range m.open {
		_ = c.Close()
	}
	m.mu.Unlock()
	m.group.Wait()
}
