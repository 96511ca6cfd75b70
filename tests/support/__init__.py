"""What tests share: engines, servers, tables, records and templates that are small and plain."""
