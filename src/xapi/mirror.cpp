#include "xapi/mirror.hpp"

#include <set>

namespace vnvme::xapi {
namespace {

// The map of a Picture that holds records of type R.
std::map<Ref, Vm>& map_of(Picture& p, const Vm&) {
  return p.vms;
}
std::map<Ref, Vbd>& map_of(Picture& p, const Vbd&) {
  return p.vbds;
}
std::map<Ref, Vdi>& map_of(Picture& p, const Vdi&) {
  return p.vdis;
}
std::map<Ref, Sr>& map_of(Picture& p, const Sr&) {
  return p.srs;
}
std::map<Ref, Pbd>& map_of(Picture& p, const Pbd&) {
  return p.pbds;
}
std::map<Ref, Host>& map_of(Picture& p, const Host&) {
  return p.hosts;
}
std::map<Ref, Pool>& map_of(Picture& p, const Pool&) {
  return p.pools;
}

template <class R>
std::optional<Record> extract(std::map<Ref, R>& from, const Ref& ref) {
  auto node = from.extract(ref);
  if (node.empty()) return std::nullopt;
  return Record(std::move(node.mapped()));
}

std::optional<Record> extract(Picture& p, Class c, const Ref& ref) {
  switch (c) {
    case Class::vm:
      return extract(p.vms, ref);
    case Class::vbd:
      return extract(p.vbds, ref);
    case Class::vdi:
      return extract(p.vdis, ref);
    case Class::sr:
      return extract(p.srs, ref);
    case Class::pbd:
      return extract(p.pbds, ref);
    case Class::host:
      return extract(p.hosts, ref);
    case Class::pool:
      return extract(p.pools, ref);
  }
  return std::nullopt;
}

// Puts the record in; what it replaced, and whether anything changed.
struct Replaced {
  bool changed = false;
  std::optional<Record> before;
};
Replaced insert(Picture& p, Record record) {
  return std::visit(
      [&p](auto& one) {
        auto& map = map_of(p, one);
        auto at = map.find(one.ref);
        if (at == map.end()) {
          auto ref = one.ref;
          map.emplace(std::move(ref), std::move(one));
          return Replaced{true, std::nullopt};
        }
        if (at->second == one) return Replaced{};
        Replaced out{true, Record(std::move(at->second))};
        at->second = std::move(one);
        return out;
      },
      record);
}

}  // namespace

std::optional<Change> Mirror::put(Event event) {
  Key key{event.cls, event.ref};
  auto [seen, fresh] = generations_.try_emplace(key, event.id);
  if (!fresh && event.id < seen->second) return std::nullopt;  // older than what we have
  seen->second = event.id;
  if (!event.record) {
    // It exists, and a former record of it stays: unreadable is not absent.
    picture_.unreadable[key] = std::move(event.unreadable);
    return std::nullopt;
  }
  picture_.unreadable.erase(key);
  auto replaced = insert(picture_, std::move(*event.record));
  if (!replaced.changed) return std::nullopt;
  auto operation = replaced.before ? Event::Operation::modified : Event::Operation::added;
  return Change{operation, event.cls, std::move(event.ref), std::move(replaced.before)};
}

std::optional<Change> Mirror::remove(const Key& key) {
  picture_.unreadable.erase(key);
  generations_.erase(key);
  auto before = extract(picture_, key.first, key.second);
  if (!before) return std::nullopt;
  return Change{Event::Operation::removed, key.first, key.second, std::move(before)};
}

std::vector<Change> Mirror::fold(EventBatch batch) {
  std::vector<Change> changes;
  for (auto& event : batch.events) {
    if (event.operation == Event::Operation::removed) continue;
    auto change = put(std::move(event));
    if (change) changes.push_back(std::move(*change));
  }
  // Refs are never used again, so what was deleted stays so, wherever in the batch that stands.
  for (const auto& event : batch.events) {
    if (event.operation != Event::Operation::removed) continue;
    auto change = remove(Key{event.cls, event.ref});
    if (change) changes.push_back(std::move(*change));
  }
  return changes;
}

std::vector<Change> Mirror::replace(EventBatch whole) {
  std::set<Key> present;
  for (const auto& event : whole.events)
    if (event.operation != Event::Operation::removed) present.emplace(event.cls, event.ref);
  std::vector<Key> gone;
  for (const auto& [key, generation] : generations_)
    if (!present.contains(key)) gone.push_back(key);
  // A restarted XAPI may have lost its last generations: numbers from before mean nothing now.
  generations_.clear();
  auto changes = fold(std::move(whole));
  for (const auto& key : gone) {
    auto change = remove(key);
    if (change) changes.push_back(std::move(*change));
  }
  return changes;
}

std::string Mirror::disagreement(const std::map<Class, std::uint64_t>& counts) const {
  for (const auto& [cls, count] : counts) {
    auto ours = picture_.count(cls);
    if (ours != count)
      return "XAPI has " + std::to_string(count) + " of class " + std::string(to_string(cls)) + ", we have " +
             std::to_string(ours);
  }
  return {};
}

}  // namespace vnvme::xapi
