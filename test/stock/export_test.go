package stock

// Settings are all that Sysctls sets.
var Settings = settings
