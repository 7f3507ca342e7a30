// Names, sizes and addresses that come from elsewhere.
#include "model/names.hpp"
#include "core/text.hpp"
#include "dpu/spdk/lvol.hpp"
#include "fuzz/fuzz.hpp"
#include "vnvme/smapi.hpp"
#include "vnvme/units.hpp"

using vnvme::fuzz::require;
namespace model = vnvme::model;
namespace smapi = vnvme::smapi;

namespace {

void uuids(const std::string& text) {
  if (auto uuid = vnvme::parse_uuid(text)) {
    require(vnvme::parse_uuid(*uuid) == uuid, "the canonical form is its own");
    require(vnvme::uuid_from_hex(vnvme::uuid_hex(*uuid)) == uuid, "a uuid survives its hex form");
  }
  if (auto target = smapi::parse_uri(text)) {
    auto again = smapi::parse_uri(smapi::make_uri(target->sr, target->volume));
    require(again && again->sr == target->sr && again->volume == target->volume, "a URI round trips");
  }
}

void object_names(const std::string& text) {
  static const vnvme::VolumeId id("6c84b44c-a61b-41a4-8b19-32ab643b57d9");
  const auto name = model::volume_name(id, text, vnvme::dpu::spdk::kLvolNameBytes);
  require(name.size() <= vnvme::dpu::spdk::kLvolNameBytes, "a volume's name fits");
  const auto own = model::parse_name(name);
  require(own && own->id == id && own->kind == model::NameKind::volume, "a volume's name is found again");
  if (vnvme::is_utf8(text))
    require(vnvme::dpu::spdk::check_lvol_name(name).has_value(), "a volume's name is one that can be sent");
  if (const auto any = model::parse_name(text))
    require(vnvme::parse_uuid(any->id.value).has_value(), "ours has an id");
  if (const auto sr = model::sr_of_pool_name(text))
    require(model::pool_name(*sr) == text, "a pool's name is the one that we would give");
}

void texts(const std::string& text) {
  for (std::size_t most : {std::size_t{0}, std::size_t{5}, text.size()}) {
    const auto head = vnvme::utf8_prefix(text, most);
    require(head.size() <= most && text.starts_with(head), "a prefix is one");
    if (vnvme::is_utf8(text)) require(vnvme::is_utf8(head), "no character is cut");
  }
  for (char c : vnvme::printable(text, 40))
    require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f, "printable");
  require(vnvme::is_utf8(vnvme::printable(text, 40)), "printable text is UTF-8");
  require(vnvme::join(vnvme::split(text, '/'), "/") == text, "split and join");
  (void)vnvme::display_width(text);
  if (auto bytes = vnvme::parse_bytes(text)) require(*bytes <= vnvme::kMaxBytes, "a size fits XAPI");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(vnvme::fuzz::text(data, size));
  uuids(text);
  object_names(text);
  texts(text);
  return 0;
}
