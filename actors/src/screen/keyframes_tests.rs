use super::*;

const SIZE: TerminalSize = TerminalSize { cols: 20, rows: 4 };

fn beginning() -> Keyframe {
    let place = KeyframePlace { seq: Seq(1), chunk_index: None, at_us: 0 };
    let state = LineCollector::terminal(SIZE).freeze().expect("it is empty");
    Keyframe { place, bytes: 0, state }
}

/// A list that has seen `chunks` chunks of `bytes` each, `every_us` apart. A chunk is two entries of its run.
fn seen(chunks: u64, bytes: u64, every_us: u64) -> KeyframeList {
    let mut list = KeyframeList::new(beginning());
    let mut collector = LineCollector::terminal(SIZE);
    for index in 0..chunks {
        collector.feed_each(format!("chunk {index}\r\n").as_bytes(), |_| ());
        let place = KeyframePlace {
            seq: Seq(3 + 2 * index),
            chunk_index: Some(ChunkIndex(index)),
            at_us: index * every_us,
        };
        let extent = StreamExtent {
            place,
            bytes: (index + 1) * bytes,
            lines: collector.given(),
            has_ended: false,
        };
        list.observe(extent, &collector);
    }
    list
}

fn indices(list: &KeyframeList) -> Vec<Option<u64>> {
    list.frames().iter().map(|frame| frame.place.chunk_index.map(|index| index.0)).collect()
}

#[test]
fn screen_keyframes_lie_a_distance_apart() {
    let by_bytes = seen(13, 256 * 1024, 10);
    assert_eq!(indices(&by_bytes), [None, Some(3), Some(7), Some(11)]);
    assert_eq!(
        by_bytes.last().state.thaw().screen().expect("a screen").text(),
        "chunk 9\nchunk 10\nchunk 11"
    );
    let by_time = seen(13, 1, 4_000_000);
    assert_eq!(indices(&by_time), [None, Some(3), Some(6), Some(9), Some(12)]);
    assert_eq!(indices(&seen(13, 0, 60_000_000)), [None], "nothing was shown");
}

#[test]
fn screen_keyframes_are_found_by_chunk_time_seq_and_line() {
    let list = seen(13, 256 * 1024, 10);
    let found = |frame: &Arc<Keyframe>| frame.place.chunk_index.map(|index| index.0);
    for (wanted, expected) in [(0, None), (2, None), (3, Some(3)), (7, Some(7)), (99, Some(11))] {
        assert_eq!(found(list.before(At::Chunk(ChunkIndex(wanted)))), expected, "chunk {wanted}");
        assert_eq!(found(list.before(At::Time(wanted * 10 + 9))), expected, "time {wanted}");
        assert_eq!(found(list.before_seq(Seq(4 + 2 * wanted))), expected, "seq {wanted}");
        assert_eq!(found(list.before_line(wanted + 1)), expected, "line {wanted}");
    }
    assert_eq!(found(list.before(At::Now)), Some(11));
    assert_eq!(found(list.before_seq(Seq(0))), None, "there is nothing before the beginning");
}

#[test]
fn screen_keyframes_are_bounded_and_cover_the_whole_stream() {
    let chunks = 3000;
    let list = seen(chunks, DISTANCE_BYTES, 1);
    assert!(list.frames().len() <= MAX_KEYFRAMES && list.frames().len() > MAX_KEYFRAMES / 3);
    assert_eq!(list.frames()[0].place.chunk_index, None);
    let indices: Vec<u64> = indices(&list).into_iter().flatten().collect();
    let largest = indices.windows(2).map(|pair| pair[1] - pair[0]).max().expect("several");
    assert!(largest <= 8, "{largest} MiB apart");
    assert!(chunks - indices.last().expect("several") <= 8);

    let mut wide = KeyframeList::new(beginning());
    let big = FrozenCollector {
        lines: 0,
        source: crate::screen::FrozenSource::Pipe(vec![0; MAX_KEYFRAME_BYTES / 10]),
    };
    for number in 1..100 {
        let place =
            KeyframePlace { seq: Seq(number), chunk_index: Some(ChunkIndex(number)), at_us: 0 };
        wide.add(Keyframe { place, bytes: 0, state: big.clone() });
        assert!(wide.memory_cost() <= MAX_KEYFRAME_BYTES);
        assert_eq!(wide.last().place.seq, Seq(number));
    }
}

#[test]
fn screen_keyframes_out_of_order_are_no_list() {
    let list = seen(13, 256 * 1024, 10);
    let frames: Vec<Keyframe> = list.frames().iter().map(|frame| (**frame).clone()).collect();
    assert!(KeyframeList::stored(frames.clone(), list.extent()).is_some());
    assert!(KeyframeList::stored(Vec::new(), list.extent()).is_none());
    assert!(KeyframeList::stored(frames[1..].to_vec(), list.extent()).is_none());
    let mut swapped = frames.clone();
    swapped.swap(1, 2);
    assert!(KeyframeList::stored(swapped, list.extent()).is_none());
    let short = StreamExtent { lines: 3, ..list.extent() };
    assert!(KeyframeList::stored(frames, short).is_none());
}
