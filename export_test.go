package flotilla

// SetCatalogSpace has free tell the catalog how many bytes the disk has left.
func SetCatalogSpace(c *Config, free func(dir string) (int64, error)) { c.catalogSpace = free }
