package wasmhost

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Slot is the place of one handler: it holds the module that runs, and takes another one while calls go on.
//
//	            Replace                     the first call after                the last call before it has ended
//	new bytes ──► load, check, initialise ──► swap: runs on the new module      ──► the old module is closed
//	                    └─ refused: the old module runs on, SlotInfo.Refused says why
//
// A call ends on the module that it began with. The methods may be called by any goroutine.
type Slot struct {
	host     *Host
	limits   Limits
	settings Settings
	module   atomic.Pointer[Module]

	replacing sync.Mutex // one replacement at a time
	retiring  sync.WaitGroup
	retire    context.Context // of the goroutines that close replaced modules
	giveUp    context.CancelFunc

	mu      sync.Mutex // guards what follows
	since   time.Time
	reloads int
	refused *Refusal
	closed  bool
}

// SlotInfo says what a Slot runs and what it did not take.
type SlotInfo struct {
	Info              // of the module that runs
	Since   time.Time // when it came
	Reloads int       // how often a module took the place of another
	Refused *Refusal  // the last module offered, if it was not taken; nil once one is
}

// Refusal is a module that did not come to run.
type Refusal struct {
	At     time.Time
	SHA256 string // of the bytes offered, hexadecimal; empty if there were none to look at
	Reason string
}

// NewSlot loads a handler's first module. The error is as Load's.
func (h *Host) NewSlot(ctx context.Context, wasm []byte, limits Limits, settings Settings) (*Slot, error) {
	m, err := h.Load(ctx, wasm, limits, settings)
	if err != nil {
		return nil, err
	}
	s := &Slot{host: h, limits: limits, settings: settings, since: time.Now()}
	s.retire, s.giveUp = context.WithCancel(context.Background())
	s.module.Store(m)
	return s, nil
}

// Replace puts a module in the place of the one that runs and reports whether it is another: bytes that run already
// stay as they are. When the new module is refused, the old one runs on. Calls under way end on the old module, which is
// closed after the last of them; Replace does not wait for that. ctx bounds the new module's start.
func (s *Slot) Replace(ctx context.Context, wasm []byte) (changed bool, err error) {
	s.replacing.Lock()
	defer s.replacing.Unlock()
	sum := sha256.Sum256(wasm)
	hash := hex.EncodeToString(sum[:])
	if hash == s.module.Load().info.SHA256 {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.closed {
			return false, fmt.Errorf("handler %s: %w", s.settings.Name, ErrClosed)
		}
		s.refused = nil
		return false, nil
	}
	next, err := s.host.Load(ctx, wasm, s.limits, s.settings)
	if err != nil {
		s.Refuse(hash, err)
		return false, err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return false, errors.Join(fmt.Errorf("handler %s: %w", s.settings.Name, ErrClosed), next.Close(ctx))
	}
	old := s.module.Swap(next)
	s.since, s.refused = time.Now(), nil
	s.reloads++
	s.retiring.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.retiring.Done()
		if err := old.Close(s.retire); err != nil { // its calls end by their own limits
			old.logger.Error("close a replaced module", "sha256", old.info.SHA256, "error", err)
		}
	}()
	return true, nil
}

// Refuse notes that a module was not even offered to the host, for example because its file cannot be read or is not
// the one that is expected. sha256 may be empty.
func (s *Slot) Refuse(sha256 string, reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = &Refusal{At: time.Now(), SHA256: sha256, Reason: reason.Error()}
}

// Call is Module.Call on the module that is in the slot when a call may begin.
func (s *Slot) Call(ctx context.Context, msg *Msg, effects Effects) Outcome {
	for {
		m := s.module.Load()
		err := m.pool.enter(ctx)
		if err == nil {
			defer m.pool.leave()
			return m.run(ctx, msg, effects)
		}
		if !errors.Is(err, ErrClosed) || s.module.Load() == m { // else it was replaced while this call waited
			return refusedCall(err)
		}
	}
}

// Reset is Module.Reset on the module in the slot. Instances of modules that were replaced go anyway.
func (s *Slot) Reset() { s.module.Load().Reset() }

// Info says what runs and what was refused.
func (s *Slot) Info() SlotInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	info := SlotInfo{Info: s.module.Load().info, Since: s.since, Reloads: s.reloads}
	if s.refused != nil {
		r := *s.refused
		info.Refused = &r
	}
	return info
}

// Close waits for the calls that run, on modules that were replaced too, refuses new ones and frees the modules. If ctx
// ends first it returns its error, and what still runs is left to Host.Close.
func (s *Slot) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	m := s.module.Load()
	s.mu.Unlock()
	giveUp := context.AfterFunc(ctx, s.giveUp)
	defer giveUp()
	s.retiring.Wait()
	err := m.Close(ctx)
	if s.retire.Err() != nil {
		err = errors.Join(err, fmt.Errorf("handler %s: a replaced module still runs: %w", s.settings.Name, ctx.Err()))
	}
	return err
}
