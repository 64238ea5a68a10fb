package ipvs

// Fake is a model of the kernel's table.
type Fake struct{}

// NewFake returns an empty kernel.
func NewFake() *Fake { return &Fake{} }
