package store

import (
	"context"
	"database/sql"
	"errors"
)

// transaction is a writing transaction on the one connection that writes.
type transaction struct {
	s  *Store
	tx *sql.Tx
}

// update runs one writing transaction. Nothing of it exists if it returns an error, but for one: a commit whose fsync
// failed may be found done after all at the next look (P32).
func (s *Store) update(operation string, fn func(*transaction) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fault(operation); err != nil {
		return err
	}
	tx, err := s.conn.BeginTx(context.Background(), nil)
	if err != nil {
		return classify(err)
	}
	if err := fn(&transaction{s, tx}); err != nil {
		return errors.Join(classify(err), rollback(tx))
	}
	if err := s.fault(operation + ".commit"); err != nil {
		return errors.Join(err, rollback(tx))
	}
	return classify(tx.Commit())
}

// rollback ends a transaction that failed. SQLite has ended it itself after some errors.
func rollback(tx *sql.Tx) error {
	if err := tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return classify(err)
	}
	return nil
}

// fault asks the hook whether the operation is to fail.
func (s *Store) fault(operation string) error {
	if s.hook == nil {
		return nil
	}
	if err := s.hook(operation); err != nil {
		return errors.Join(errIO, err)
	}
	return nil
}

// exec runs a statement, which is prepared once.
func (t *transaction) exec(query string, args ...any) (sql.Result, error) {
	st, err := t.prepare(query)
	if err != nil {
		return nil, err
	}
	return t.tx.Stmt(st).Exec(args...)
}

// row reads one row inside the transaction.
func (t *transaction) row(query string, args ...any) interface{ Scan(...any) error } {
	st, err := t.prepare(query)
	if err != nil {
		return failedRow{err}
	}
	return t.tx.Stmt(st).QueryRow(args...)
}

func (t *transaction) prepare(query string) (*sql.Stmt, error) {
	if st := t.s.w[query]; st != nil {
		return st, nil
	}
	st, err := t.s.conn.PrepareContext(context.Background(), query)
	if err == nil {
		t.s.w[query] = st
	}
	return st, err
}

// failedRow is a row whose statement could not be prepared.
type failedRow struct{ err error }

func (r failedRow) Scan(...any) error { return r.err }

// reader returns a prepared statement of the reading connections.
func (s *Store) reader(query string) (*sql.Stmt, error) {
	if err := s.fault("read"); err != nil {
		return nil, err
	}
	s.rmu.Lock()
	defer s.rmu.Unlock()
	if st := s.r[query]; st != nil {
		return st, nil
	}
	st, err := s.read.Prepare(query)
	if err == nil {
		s.r[query] = st
	}
	return st, classify(err)
}

// row reads one row of the last commit.
func (s *Store) row(query string, args ...any) interface{ Scan(...any) error } {
	st, err := s.reader(query)
	if err != nil {
		return failedRow{err}
	}
	return st.QueryRow(args...)
}

// each calls fn for every row of the last commit that a query finds.
func (s *Store) each(query string, args []any, fn func(scan func(...any) error) error) error {
	st, err := s.reader(query)
	if err != nil {
		return err
	}
	rows, err := st.Query(args...)
	if err != nil {
		return classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows.Scan); err != nil {
			return classify(err)
		}
	}
	return classify(rows.Err())
}
