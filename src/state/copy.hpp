// Whole copies of a state file.
#pragma once
#include <string>

#include "state/sqlite.hpp"

namespace vnvme::state {

// Copies what `from` holds now to the file `to`: complete and durable before it gets that name, by one
// rename.
Result<void> copy_database(Connection& from, const std::string& to);

// The store id in a state file; an error when it cannot be read.
Result<std::string> store_id_of(const std::string& path);

// Makes `path` out of a copy, after checking the copy. Leftovers of the lost file are removed: a write-ahead
// log of another life must never be replayed into this one.
Result<void> restore_database(const std::string& copy, const std::string& path);

}  // namespace vnvme::state
