package api

// IsFileName tells whether a name is safe as that of a file in a directory:
// 1..64 of [A-Za-z0-9._-], not beginning with a dot.
func IsFileName(name string) bool {
	if name == "" || len(name) > 64 || name[0] == '.' {
		return false
	}
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// Validate implements Object.
func (p *Pool) Validate() error { return nil }

// Validate implements Object.
func (l *LoadBalancer) Validate() error { return nil }

// Validate implements Object.
func (r *RealServer) Validate() error { return nil }

// Validate implements Object.
func (s *Settings) Validate() error { return nil }
