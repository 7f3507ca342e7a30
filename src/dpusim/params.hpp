// SPDK decodes parameters strictly: an unknown key, a wrong type or a missing key fails the whole call.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.hpp"

namespace vnvme::sim {

enum class Type { text, number, integer, boolean, texts, object, address, host };

struct Field {
  std::string_view name;
  Type type;
  bool required = false;
  bool present = true;  // false: this version does not know the key
};

class Args {
 public:
  // Nothing when the real decoder would have refused.
  static std::optional<Args> decode(const Json* params, const std::vector<Field>& fields);

  [[nodiscard]] std::optional<std::string> text(std::string_view name) const;
  [[nodiscard]] std::string text_or(std::string_view name, std::string fallback) const;
  [[nodiscard]] std::optional<std::uint64_t> number(std::string_view name) const;
  [[nodiscard]] std::uint64_t number_or(std::string_view name, std::uint64_t fallback) const;
  [[nodiscard]] bool flag(std::string_view name, bool fallback = false) const;
  [[nodiscard]] std::vector<std::string> texts(std::string_view name) const;
  [[nodiscard]] const Json* raw(std::string_view name) const;

 private:
  explicit Args(Json object) : object_(std::move(object)) {}
  Json object_;
};

}  // namespace vnvme::sim
