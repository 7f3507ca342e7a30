// Records as rows of the state file: which tables and columns there are, and
// the checksum that each row carries.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace vnvme::state {

using Value = std::variant<std::int64_t, std::string>;
using Row = std::vector<Value>;

enum class TableId { sr, volume, attachment, reservation, nsid, intent, request, note };
inline constexpr std::size_t kTables = 8;

struct Column {
  std::string name;
  bool text;  // else a 64-bit integer
};

struct Table {
  TableId id;
  const char* name;
  std::size_t keys;  // the first so many columns are the primary key
  const char* order;
  std::vector<Column> columns;
};

const std::array<Table, kTables>& tables();
const Table& table(TableId id);

// 64-bit FNV-1a over the table's name and all values with their types and lengths. Each step of it is a
// bijection, so a change of any one byte always changes the result; it guards against damage, not against
// malice.
std::int64_t checksum(const Table& table, const Row& row);
// The same over any values.
std::int64_t checksum(const char* tag, const Row& row);

}  // namespace vnvme::state
