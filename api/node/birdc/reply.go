package birdc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// errorCode is the first code that tells a failure; 8xxx are run-time errors,
// 9xxx parse errors.
const errorCode = 8000

// reader reads answers. Each line is "CODE-text" when more follow, "CODE text"
// at the end, or " text" with the code of the line before; lines that begin
// with "+" are asynchronous messages to those who asked for them.
type reader struct {
	src  *bufio.Reader
	left int64 // bytes that may still be read
	code int
}

// each hands the lines of one answer to fn. An answer that is an error is
// returned as *Error.
func (r *reader) each(command string, fn func(Line) error) error {
	for {
		text, err := r.line()
		if err != nil {
			return err
		}
		l, last, skip, err := r.parse(text)
		if err != nil {
			return err
		}
		if skip {
			continue
		}
		if l.Code >= errorCode && last {
			return &Error{Command: command, Code: l.Code, Message: l.Text}
		}
		if err := fn(l); err != nil {
			return err
		}
		if last {
			return nil
		}
	}
}

// line reads one line, which need not fit into the buffer.
func (r *reader) line() ([]byte, error) {
	var long []byte
	for {
		part, err := r.src.ReadSlice('\n')
		r.left -= int64(len(part))
		if r.left < 0 {
			return nil, ErrTooLarge
		}
		switch {
		case err == nil && long == nil:
			return part[:len(part)-1], nil
		case err == nil:
			return append(long, part[:len(part)-1]...), nil
		case errors.Is(err, bufio.ErrBufferFull):
			long = append(long, part...)
		case errors.Is(err, io.EOF):
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}

func (r *reader) parse(text []byte) (l Line, last, skip bool, err error) {
	switch {
	case len(text) > 0 && text[0] == '+':
		return Line{}, false, true, nil
	case len(text) > 0 && text[0] == ' ':
		return Line{r.code, string(text[1:])}, false, false, nil
	case len(text) >= 5 && (text[4] == ' ' || text[4] == '-') && digits(text[:4]):
		r.code, _ = strconv.Atoi(string(text[:4]))
		return Line{r.code, string(text[5:])}, text[4] == ' ', false, nil
	}
	return Line{}, false, false, fmt.Errorf("%.40q is no line of an answer; is the socket BIRD's?", text)
}

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
