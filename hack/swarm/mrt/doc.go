// Package mrt reads table dumps in the format MRT TABLE_DUMP_V2 (RFC 6396
// section 4.3), as route collectors publish them. It hands out the routes as
// they stand in the file and looks into nothing that it need not.
package mrt
