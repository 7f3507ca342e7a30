#include "model/world.hpp"

#include <algorithm>
#include <set>

namespace vnvme::model {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

template <class Map, class Key>
auto* find_in(Map& map, const Key& key) {
  auto it = map.find(key);
  return it == map.end() ? nullptr : &it->second;
}

}  // namespace

World::World(Snapshot snapshot) {
  for (auto& r : snapshot.srs) put(r);
  for (auto& r : snapshot.volumes) put(r);
  for (auto& r : snapshot.attachments) put(r);
  for (auto& r : snapshot.reservations) put(r);
  for (auto& r : snapshot.nsids) put(r);
  for (auto& r : snapshot.intents) put(r);
  for (auto& r : snapshot.requests) put(r);
  notes_ = std::move(snapshot.notes);
}

void World::put(const VolumeRecord& r) {
  erase(r.id);
  VolumeRecord& known = volumes_[r.id];
  known = r;
  by_sr_[r.sr][r.seq] = &known;
  next_seq_ = std::max(next_seq_, r.seq + 1);
}

void World::erase(const VolumeId& id) {
  auto it = volumes_.find(id);
  if (it == volumes_.end()) return;
  by_sr_[it->second.sr].erase(it->second.seq);
  volumes_.erase(it);
}

void World::put(const IntentRecord& r) {
  intents_[r.id] = r;
  next_intent_ = std::max(next_intent_, r.id + 1);
}

void World::put(const RequestRecord& r) {
  if (requests_.insert_or_assign(r.id, r).second) request_order_.push_back(r.id);
}

void World::apply(const Change& change) {
  ++version_;
  std::visit(Overloaded{
                 [this]<class Record>(const Put<Record>& p) { put(p.record); },
                 [this](const Erase<SrId>& e) {
                   srs_.erase(e.key);
                   by_sr_.erase(e.key);
                 },
                 [this](const Erase<VolumeId>& e) { erase(e.key); },
                 [this](const EraseAttachment& e) {
                   attachments_.erase({e.volume, e.owner});
                 },
                 [this](const EraseReservation& e) {
                   reservations_.erase({e.vm, e.dpu});
                 },
                 [this](const EraseNsid& e) {
                   nsids_.erase({e.owner, e.volume});
                 },
                 [this](const EraseIntent& e) { intents_.erase(e.id); },
                 [this](const Erase<RequestId>& e) {
                   requests_.erase(e.key);
                   std::erase(request_order_, e.key);
                 },
                 [this](const PutNote& n) { notes_[n.key] = n.value; },
                 [this](const EraseNote& n) { notes_.erase(n.key); },
             },
             change);
}

const SrRecord* World::sr(const SrId& id) const {
  return find_in(srs_, id);
}
const VolumeRecord* World::volume(const VolumeId& id) const {
  return find_in(volumes_, id);
}

const VolumeRecord* World::visible(const SrId& sr, const VolumeId& id) const {
  const VolumeRecord* v = volume(id);
  bool shown = v != nullptr && v->sr == sr && v->state == VolumeState::ready && v->kind != VolumeKind::base;
  return shown ? v : nullptr;
}

std::vector<const VolumeRecord*> World::volumes_of(const SrId& sr) const {
  std::vector<const VolumeRecord*> out;
  if (const auto* order = find_in(by_sr_, sr)) {
    out.reserve(order->size());
    for (const auto& [seq, volume] : *order) out.push_back(volume);
  }
  return out;
}

std::vector<const AttachmentRecord*> World::attachments_of(const VolumeId& id) const {
  std::vector<const AttachmentRecord*> out;
  for (auto it = attachments_.lower_bound({id, ""}); it != attachments_.end() && it->first.first == id; ++it)
    out.push_back(&it->second);
  return out;
}

const AttachmentRecord* World::attachment(const VolumeId& id, const std::string& owner) const {
  return find_in(attachments_, AttachmentKey{id, owner});
}

const ReservationRecord* World::reservation(const VmId& vm, const DpuId& dpu) const {
  return find_in(reservations_, ReservationKey{vm, dpu});
}

bool World::has_intent(const VolumeId& volume) const {
  return std::any_of(intents_.begin(), intents_.end(),
                     [&](const auto& i) { return i.second.volume == volume; });
}

std::uint32_t World::nsid_for(const std::string& owner, const VolumeId& volume) const {
  std::set<std::uint32_t> taken;
  for (auto it = nsids_.lower_bound({owner, VolumeId()}); it != nsids_.end() && it->first.first == owner;
       ++it) {
    if (it->first.second == volume) return it->second;
    taken.insert(it->second);
  }
  std::uint32_t candidate = 1;
  for (std::uint32_t t : taken) {
    if (t != candidate) break;
    ++candidate;
  }
  return candidate;
}

std::vector<std::string> World::owners_with_nsid(const VolumeId& volume) const {
  std::vector<std::string> out;
  for (const auto& [key, nsid] : nsids_)
    if (key.second == volume) out.push_back(key.first);
  return out;
}

const RequestRecord* World::request(const RequestId& id) const {
  return find_in(requests_, id);
}

std::vector<RequestId> World::surplus_requests(std::size_t most) const {
  if (request_order_.size() <= most) return {};
  auto end = request_order_.begin() + static_cast<std::ptrdiff_t>(request_order_.size() - most);
  return {request_order_.begin(), end};
}

}  // namespace vnvme::model
