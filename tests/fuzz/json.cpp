// The one JSON reader: what it accepts can be written, and read again as the same.
#include "core/json.hpp"

#include "core/text.hpp"
#include "fuzz/fuzz.hpp"

using vnvme::fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = vnvme::fuzz::text(data, size);
  const vnvme::JsonLimits limits{.bytes = 64u << 10, .depth = 16, .values = 4096, .string_bytes = 4096};
  const auto value = vnvme::parse_json(text, limits);
  if (!value) return 0;
  require(text.size() <= limits.bytes, "longer text is refused");
  require(vnvme::is_utf8(text), "what is no UTF-8 is refused");
  const auto plain = vnvme::dump_json(*value), ascii = vnvme::dump_json_ascii(*value);
  for (char c : ascii) require(static_cast<unsigned char>(c) < 0x80, "ASCII means ASCII");
  for (const auto& written : {plain, ascii}) {
    const auto again = vnvme::parse_json(written);
    require(again.has_value(), "what was written can be read");
    require(vnvme::dump_json(*again) == plain, "a value is the same after a round trip");
  }
  for (const char* name : {"id", "name", "", "size"}) {
    (void)vnvme::text_of(*value, name);
    (void)vnvme::number_of(*value, name);
    (void)vnvme::integer_of(*value, name);
    (void)vnvme::flag_of(*value, name);
  }
  return 0;
}
