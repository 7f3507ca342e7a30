// The tables of the state file, and the way from older ones to them.
#pragma once
#include <span>
#include <string>

#include "state/sqlite.hpp"

namespace vnvme::state {

// "vnvm": says whose file this is.
inline constexpr std::int64_t kApplicationId = 0x766e766d;

// One step of the schema: what makes version `to` out of version to - 1. Steps are never edited after a
// release. A step that changes what a record's row holds also gives each of those rows its new checksum.
struct Migration {
  std::int64_t to;
  const char* sql;
};
std::span<const Migration> migrations();

// Brings the file to the last version of the list, in one transaction: all of it or nothing. Refuses a newer
// one (not_supported), and a file that is not ours or that lost its header (corrupt).
Result<void> migrate(Connection& db, std::span<const Migration> steps);

// The file's tables, indexes and triggers are word for word those that the steps make: a damaged trigger
// would keep no rule any more, and nothing else would tell. `corrupt` when they differ.
Result<void> check_schema(Connection& db, std::span<const Migration> steps);

}  // namespace vnvme::state
