// Binary data inside JSON.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace vnvme::sim {

std::string base64(std::string_view bytes);
std::optional<std::string> from_base64(std::string_view text);  // nothing when the text is not canonical

}  // namespace vnvme::sim
