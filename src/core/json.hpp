// The only place where JSON text is parsed, with bounds on everything (P4).
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vnvme/result.hpp"

namespace vnvme {

using Json = nlohmann::json;

struct JsonLimits {
  std::size_t bytes = 8u << 20;
  std::size_t depth = 64;
  std::size_t values = 1u << 20;
  std::size_t string_bytes = 1u << 20;
};

// One JSON value and nothing after it (white space aside). Refuses invalid UTF-8, text beyond the limits and
// duplicate-free rules are the caller's: of a repeated key the last one counts, as RFC 8259 leaves open.
Result<Json> parse_json(std::string_view text, const JsonLimits& limits = {});

// Always valid, compact, UTF-8; invalid bytes are replaced, so it never throws.
std::string dump_json(const Json& value);
// The same in pure ASCII (\uXXXX), as some peers want it.
std::string dump_json_ascii(const Json& value);

// Tolerant readers: nothing when the member is absent, null, or of a wrong type. Numbers may come as strings,
// because SPDK versions differ; booleans as "true"/"false" too (P: tolerant on form, strict on what matters).
const Json* member(const Json& object, std::string_view name);
std::optional<std::string> text_of(const Json& object, std::string_view name);
std::optional<std::uint64_t> number_of(const Json& object, std::string_view name);
std::optional<std::int64_t> integer_of(const Json& object, std::string_view name);
std::optional<bool> flag_of(const Json& object, std::string_view name);

}  // namespace vnvme
