// The log facade. spdlog is known to log.cpp alone: its headers cost 13 s a file.
// One line is one event: "key=value" pairs after a message. Secrets never come here.
//   error  somebody must act          warning  works, but not as it should
//   info   one line a request, one a change of state      debug  each RPC
#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "vnvme/result.hpp"

namespace vnvme::log {

enum class Level { debug, info, warning, error, off };

struct Field {
  std::string_view key;
  std::string value;
  Field(std::string_view k, std::string v) : key(k), value(std::move(v)) {}
  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(v) {}
  Field(std::string_view k, std::uint64_t v) : key(k), value(std::to_string(v)) {}
  Field(std::string_view k, std::int64_t v) : key(k), value(std::to_string(v)) {}
  Field(std::string_view k, int v) : key(k), value(std::to_string(v)) {}
  Field(std::string_view k, bool v) : key(k), value(v ? "yes" : "no") {}
};

// path: a file, or "-" for stderr. Without setup() warnings and errors go to stderr.
Result<void> setup(Level level, const std::string& path);
void set_level(Level level);
std::optional<Level> parse_level(std::string_view name);

void write(Level level, std::string_view message, std::initializer_list<Field> fields = {});
inline void debug(std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::debug, m, f);
}
inline void info(std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::info, m, f);
}
inline void warning(std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::warning, m, f);
}
inline void error(std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::error, m, f);
}

// The line as it is written, without time and level: one line whatever the values hold (control characters
// escaped, values with spaces quoted, each cut at 512 bytes).
std::string format(std::string_view message, std::initializer_list<Field> fields);

}  // namespace vnvme::log
