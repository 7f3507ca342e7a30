#include "smapi/args.hpp"

#include "core/text.hpp"

namespace vnvme::smapi {
namespace {

std::string kind(const Json& v) {
  if (v.is_number_float()) return "a fraction";
  if (v.is_number()) return "a number";
  if (v.is_string()) return "a string";
  if (v.is_object()) return "an object";
  if (v.is_array()) return "a list";
  return v.is_null() ? "null" : "a boolean";
}

}  // namespace

Result<Args> Args::parse(std::string method, std::string_view body) {
  auto bad = [&method](const std::string& why) {
    Error e{Errc::invalid_argument, Outcome::not_done, method + ": cannot read the request: " + why,
            "decode"};
    return fail(std::move(e));
  };
  if (body.empty()) return bad("nothing came on stdin; one JSON object with the named parameters is wanted");
  auto json = parse_json(body);
  if (!json) return bad(json.error().text);
  if (!json->is_object())
    return bad("it is " + kind(*json) + ", not one JSON object with the named parameters");
  return Args(std::move(method), std::move(*json));
}

void Args::refuse(std::string_view name, const std::string& why) {
  if (failed()) return;
  error_.text = method_ + ": parameter '" + std::string(name) + "' " + why;
}

const Json* Args::find(std::string_view name) {
  auto it = object_.find(name);
  if (it != object_.end()) return &*it;
  refuse(name, "is missing");
  return nullptr;
}

std::string Args::text(std::string_view name, std::size_t limit) {
  const Json* v = find(name);
  if (v == nullptr) return {};
  if (!v->is_string()) return refuse(name, "must be a string, not " + kind(*v)), std::string();
  const auto& s = v->get_ref<const std::string&>();
  if (s.size() > limit) {
    refuse(name, "has " + std::to_string(s.size()) + " bytes; the limit is " + std::to_string(limit));
    return {};
  }
  return s;
}

std::string Args::identifier(std::string_view name) {
  auto s = text(name, kIdLimit);
  if (s.empty()) return refuse(name, "is empty"), std::string();
  auto uuid = parse_uuid(s);
  return uuid ? *uuid : s;
}

Bytes Args::size(std::string_view name) {
  const Json* v = find(name);
  if (v == nullptr) return {};
  if (!v->is_number_integer()) return refuse(name, "must be an integer (bytes), not " + kind(*v)), Bytes{};
  // nlohmann keeps what is not negative as unsigned
  if (!v->is_number_unsigned()) return refuse(name, "must not be negative"), Bytes{};
  Bytes b{v->get<std::uint64_t>()};
  if (b > kMaxBytes) return refuse(name, "is larger than 2^63 - 1"), Bytes{};
  return b;
}

bool Args::flag(std::string_view name) {
  auto it = object_.find(name);
  if (it == object_.end()) return false;
  if (it->is_boolean()) return it->get<bool>();
  refuse(name, "must be true or false, not " + kind(*it));
  return false;
}

Strings Args::map(std::string_view name) {
  Strings out;
  const Json* v = find(name);
  if (v == nullptr) return out;
  if (!v->is_object()) return refuse(name, "must be an object of strings, not " + kind(*v)), out;
  if (v->size() > kConfigurationLimit) return refuse(name, "has more than 256 members"), out;
  for (auto it = v->begin(); it != v->end(); ++it) {
    const std::string& key = it.key();
    if (!it->is_string()) {
      refuse(name, "must hold strings alone, but '" + printable(key, 80) + "' is " + kind(*it));
      return {};
    }
    const auto& text = it->get_ref<const std::string&>();
    if (key.size() > kTextLimit || text.size() > kTextLimit) {
      refuse(name, "holds a text of more than 64 KiB at '" + printable(key, 80) + "'");
      return {};
    }
    out.emplace(key, text);
  }
  return out;
}

}  // namespace vnvme::smapi
