package store

import (
	"database/sql"
	"errors"
	"fmt"
	"sync"
)

// writer is the one connection that writes. Store.mu guards it.
type writer struct {
	db    *sql.DB
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

// tx runs statements in the writer's transaction.
type tx struct {
	w         *writer
	committed []func() // what memory learns once the transaction has happened
}

// stmt returns the prepared statement of a query, which must be a constant: each is kept until Close.
func (w *writer) stmt(query string) (*sql.Stmt, error) {
	st, ok := w.stmts[query]
	if !ok {
		var err error
		if st, err = w.conn.PrepareContext(background, query); err != nil {
			return nil, err
		}
		w.stmts[query] = st
	}
	return st, nil
}

// run executes a prepared statement and returns how many rows it changed.
func (t *tx) run(query string, args ...any) (int64, error) {
	res, err := t.result(query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// insert executes a prepared INSERT and returns the row id.
func (t *tx) insert(query string, args ...any) (int64, error) {
	res, err := t.result(query, args...)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

func (t *tx) result(query string, args ...any) (sql.Result, error) {
	st, err := t.w.stmt(query)
	if err != nil {
		return nil, err
	}
	return st.ExecContext(background, args...)
}

// row runs a prepared query that gives one row or none.
func (t *tx) row(query string, args []any, dest ...any) (found bool, err error) {
	st, err := t.w.stmt(query)
	if err != nil {
		return false, err
	}
	return scanned(st.QueryRowContext(background, args...).Scan(dest...))
}

// rows runs a prepared query and calls f on each row.
func (t *tx) rows(query string, args []any, f func(scan func(...any) error) error) (err error) {
	st, err := t.w.stmt(query)
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(background, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// exec executes statements that are not worth preparing.
func (t *tx) exec(query string, args ...any) (sql.Result, error) {
	return t.w.conn.ExecContext(background, query, args...)
}

func scanned(err error) (found bool, _ error) {
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// write runs f in a transaction of its own. The hook is asked before it, again as op+".sync" before what f has done is
// committed, and as op+".landed" after the commit: an error there is a failed fsync whose bytes reached the disk.
func (s *Store) write(op string, f func(*tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.fault(op)
	if err == nil {
		err = s.transact(op, f)
	}
	if err != nil {
		s.tip = tip{} // nobody knows what the disk has: look again
	}
	return wrap(op, err)
}

func (s *Store) transact(op string, f func(*tx) error) error {
	t := &tx{w: &s.writer}
	if _, err := t.run(`BEGIN IMMEDIATE`); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	err := f(t)
	if err == nil {
		err = s.fault(op + ".sync")
	}
	if err == nil {
		if _, err = t.run(`COMMIT`); err == nil {
			if err = s.fault(op + ".landed"); err == nil {
				for _, f := range t.committed {
					f()
				}
			}
			return err
		}
		err = fmt.Errorf("commit: %w", err)
	}
	// After some errors SQLite has rolled back already, and this one fails. Should it fail for another reason, the next
	// BEGIN fails and says so.
	_, _ = t.run(`ROLLBACK`)
	return err
}

// reader is a pool of connections that only read, each statement prepared once on every connection.
type reader struct {
	db    *sql.DB
	mu    sync.Mutex
	stmts map[string]*sql.Stmt
}

func (r *reader) stmt(query string) (*sql.Stmt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	st, ok := r.stmts[query]
	if !ok {
		var err error
		if st, err = r.db.PrepareContext(background, query); err != nil {
			return nil, err
		}
		r.stmts[query] = st
	}
	return st, nil
}

// snapshot runs prepared queries, all on the same state of the database.
type snapshot struct {
	r  *reader
	tx *sql.Tx // nil: a snapshot of one query
}

func (q *snapshot) stmt(query string) (*sql.Stmt, error) {
	st, err := q.r.stmt(query)
	if err == nil && q.tx != nil {
		st = q.tx.StmtContext(background, st)
	}
	return st, err
}

// row runs a query that gives one row or none.
func (q *snapshot) row(query string, args []any, dest ...any) (found bool, err error) {
	st, err := q.stmt(query)
	if err != nil {
		return false, err
	}
	return scanned(st.QueryRowContext(background, args...).Scan(dest...))
}

// rows runs a query and calls f on each row until f says stop.
func (q *snapshot) rows(query string, args []any, f func(scan func(...any) error) (more bool, err error)) (err error) {
	st, err := q.stmt(query)
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(background, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		more, err := f(rows.Scan)
		if err != nil || !more {
			return err
		}
	}
	return rows.Err()
}

// read runs f, which makes one query.
func (s *Store) read(op string, f func(*snapshot) error) error {
	if err := s.fault(op); err != nil {
		return wrap(op, err)
	}
	return wrap(op, f(&snapshot{r: &s.reader}))
}

// readSnapshot runs f, whose queries all see the same state.
func (s *Store) readSnapshot(op string, f func(*snapshot) error) error {
	err := s.fault(op)
	if err == nil {
		err = s.reader.snapshot(f)
	}
	return wrap(op, err)
}

func (r *reader) snapshot(f func(*snapshot) error) error {
	t, err := r.db.BeginTx(background, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	return errors.Join(f(&snapshot{r: r, tx: t}), t.Rollback())
}

// list collects the rows of a query.
func list[T any](s *Store, op, query string, args []any, scan func(scan func(...any) error, v *T) error) (out []T, err error) {
	err = s.read(op, func(q *snapshot) error {
		return q.rows(query, args, func(row func(...any) error) (bool, error) {
			var v T
			if err := scan(row, &v); err != nil {
				return false, err
			}
			out = append(out, v)
			return true, nil
		})
	})
	return out, err
}
