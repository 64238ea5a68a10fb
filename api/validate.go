package api

// Validate implements Object.
func (p *Pool) Validate() error { return nil }

// Validate implements Object.
func (l *LoadBalancer) Validate() error { return nil }

// Validate implements Object.
func (r *RealServer) Validate() error { return nil }

// Validate implements Object.
func (s *Settings) Validate() error { return nil }
