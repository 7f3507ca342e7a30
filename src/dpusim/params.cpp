#include "dpusim/params.hpp"

#include <algorithm>

namespace vnvme::sim {
namespace {

bool fits(const Json& value, Type type) {
  switch (type) {
    case Type::text:
      return value.is_string();
    case Type::number:
      return value.is_number_unsigned();
    case Type::integer:
      return value.is_number_integer();
    case Type::boolean:
      return value.is_boolean();
    case Type::object:
    case Type::address:
      return value.is_object();
    case Type::host:
      return value.is_string() || value.is_object();
    case Type::texts:
      return value.is_array() && value.size() <= 255 &&
             std::all_of(value.begin(), value.end(), [](const Json& v) { return v.is_string(); });
  }
  return false;
}

}  // namespace

std::optional<Args> Args::decode(const Json* params, const std::vector<Field>& fields) {
  Json object = params == nullptr ? Json::object() : *params;
  if (!object.is_object()) return std::nullopt;
  for (auto it = object.begin(); it != object.end(); ++it) {
    auto field = std::find_if(fields.begin(), fields.end(),
                              [&it](const Field& f) { return f.present && f.name == it.key(); });
    if (field == fields.end() || !fits(it.value(), field->type)) return std::nullopt;
  }
  for (const auto& f : fields)
    if (f.required && f.present && !object.contains(f.name)) return std::nullopt;
  return Args(std::move(object));
}

const Json* Args::raw(std::string_view name) const {
  auto it = object_.find(name);
  return it == object_.end() ? nullptr : &*it;
}
std::optional<std::string> Args::text(std::string_view name) const {
  const Json* v = raw(name);
  if (v == nullptr || !v->is_string()) return std::nullopt;
  return v->get<std::string>();
}
std::string Args::text_or(std::string_view name, std::string fallback) const {
  return text(name).value_or(std::move(fallback));
}
std::optional<std::uint64_t> Args::number(std::string_view name) const {
  const Json* v = raw(name);
  if (v == nullptr || !v->is_number_unsigned()) return std::nullopt;
  return v->get<std::uint64_t>();
}
std::uint64_t Args::number_or(std::string_view name, std::uint64_t fallback) const {
  return number(name).value_or(fallback);
}
bool Args::flag(std::string_view name, bool fallback) const {
  const Json* v = raw(name);
  return v != nullptr && v->is_boolean() ? v->get<bool>() : fallback;
}
std::vector<std::string> Args::texts(std::string_view name) const {
  std::vector<std::string> out;
  const Json* v = raw(name);
  if (v == nullptr || !v->is_array()) return out;
  for (const auto& item : *v)
    if (item.is_string()) out.push_back(item.get<std::string>());
  return out;
}

}  // namespace vnvme::sim
