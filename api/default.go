package api

// Default implements Object.
func (p *Pool) Default() {}

// Default implements Object.
func (l *LoadBalancer) Default() {}

// Default implements Object.
func (r *RealServer) Default() {}

// Default implements Object.
func (s *Settings) Default() {}
