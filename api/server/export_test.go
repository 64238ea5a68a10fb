package server

// Routes lists the operations, such as "GET /v1/status", for the test of the
// document.
func (s *Server) Routes() []string {
	var all []string
	for _, r := range s.routes() {
		all = append(all, r.method+" "+r.path)
	}
	return all
}
