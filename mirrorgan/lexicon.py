"""The words with which birds are described, by kind.

One line is one meaning: its words are taken as the same word ("beak", "bill"), and the first of them stands for all.
Plurals, comparatives and adverbs are found by themselves. The words come from the captions of CUB-200-2011 (Reed et al.
2016); their misspellings are not listed, see `entry`.
"""

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

Kind = Literal["colour", "shade", "part", "size", "pattern", "shape", "adjective", "noun", "verb", "other", "function"]
"""What a word speaks of. "noun", "verb" and "adjective" describe neither colour nor form; "other" is not listed here;
"function" says nothing that a picture could show, and "bird" is among these because every caption has it."""

MEANINGS: dict[Kind, str] = {
    "colour": """
        red
        crimson
        scarlet
        ruby
        maroon
        burgundy
        vermilion
        reddish
        rust rusty
        rufous
        russet
        auburn
        brown
        brownish
        tan
        beige
        taupe
        khaki
        fawn
        sandy sand
        tawny
        buff
        chestnut
        chocolate
        coffee
        cinnamon
        copper coppery
        bronze
        yellow
        yellowish
        gold golden
        mustard
        lemon
        amber
        blonde blond
        orange
        orangish orangey
        peach
        apricot
        salmon
        coral
        green
        greenish
        olive
        lime
        emerald
        chartreuse
        blue
        bluish blueish
        navy
        teal
        turquoise
        aqua aquamarine
        cyan
        cobalt
        azure
        indigo
        periwinkle
        sapphire
        purple plum
        purplish
        violet
        lavender
        magenta
        lilac
        pink
        pinkish
        rose rosy
        fuchsia
        black
        blackish
        ebony
        charcoal
        jet
        white
        whitish offwhite
        ivory
        cream creamy
        snowy snow
        gray grey
        grayish greyish
        silver silvery
        slate
        ash ashy
        smoky
    """,
    "shade": """
        bright vivid vibrant brilliant
        dark
        light
        pale
        deep
        dull drab
        faded
        muted
        dusky
        rich
        fluorescent neon
        pastel
    """,
    "part": """
        beak bill billed beaked
        wing winged
        wingbar
        wingspan span
        wingtip
        belly bellied stomach tummy abdomen underbelly
        breast breasted chest chested
        underside underbody underpart
        throat throated
        neck necked
        nape
        crown crowned
        crest crested tuft tufted mohawk
        head headed
        forehead
        face faced facial
        eye eyed
        eyering
        eyebrow brow superciliary supercilium
        eyeline eyestripe
        eyepatch
        pupil
        iris
        cheek cheeked cheekpatch
        malar
        mask masked
        chin
        collar
        ear
        mouth
        nose
        back backed
        shoulder
        rump
        tail tailed tailfeather
        undertail
        uppertail
        vent
        flank
        side
        thigh
        leg legged
        foot feet footed
        toe
        claw talon
        tarsus tarsi tarsal
        primary primaries
        secondary secondaries
        rectrix rectrices
        covert
        feather feathered feathering plumage plume
        cap
        hood
        beard
        body bodied torso
        tip tipped
        edge edged
        skin
        fur hair coat
    """,
    "size": """
        small little smallish
        tiny petite minuscule
        medium average
        large big
        huge giant enormous massive
        long elongated lengthy longish
        short shortish
        tall
        wide broad
        narrow
        thick
        thin skinny slender slim
        fat plump chubby rotund pudgy
        heavy
    """,
    "pattern": """
        spot spotted spotting dot dotted polka
        speckle speckled speckling speck fleck flecked freckled
        stripe striped striping
        streak streaked streaking
        strip
        line lined
        bar barred barring
        band banded
        ring ringed
        patch patched patchy
        marking mark marked
        mottle mottled mottling
        splotch splotched blotch
        scale scaled scaly
        checkered
        multicolored multicoloured multi variegated rainbow
        pattern patterned
        zebra
        solid plain
        iridescent
        gradient
    """,
    "shape": """
        pointed pointy pointing
        sharp
        curved curving curve curvy
        hooked hook
        round rounded roundish circular
        flat
        straight
        blunt
        conical cone
        stubby stout stocky stumpy squat snubbed chunky
        triangular triangle
        oval
        forked
        webbed
        tapered tapering
        needle needlelike
        spiky spiked
        crooked
        bulky
        upturned upward upwards
        downturned downward downwards
    """,
    "adjective": """
        beautiful gorgeous
        pretty lovely
        cute
        colorful colourful
        shiny glossy
        metallic
        fluffy fuzzy
        puffy puffed
        soft
        sleek
        smooth
        shaggy
        ruffled
        silky
        unique
        distinctive distinct
        striking
        interesting
        unusual
        odd strange weird
        exotic
        majestic magnificent
        beady
        nice great
        bold
        strong
        sturdy
        powerful
        young baby
        male
        female
        adult
        aquatic
        wild
        dirty
        tropical
        old
        new
        one
        two
        three
    """,
    "noun": """
        tree
        branch
        twig
        leaf leaves
        grass
        flower
        bush
        water
        sea ocean
        beach
        lake river pond
        sky
        ground
        rock stone
        wood
        forest
        sun
        fish
        worm
        insect
        nest
        egg
        bear
        cat kitten
        dog puppy
        horse
        cow
        pig
        sheep
        mouse rat
        lion tiger
        elephant
        frog
        snake
        butterfly
        dragon
        car truck
        bus
        train
        plane airplane aeroplane
        boat ship
        bicycle bike
        house building
        man woman person people
        boy girl child
        table
        chair
        phone
        computer
        robot
        pizza
        food
        apple
        banana
        ball
        book
        city street
        mountain
    """,
    "verb": """
        perch perched perching
        sit sits sitting sat
        stand stands standing stood
        fly flies flying
        swim swims swimming
        eat eating eats
        hold holds holding
        sing sings singing
        walk walking walks
        run running runs
        hover hovering
        drive driving
    """,
    "other": """
        break fast bland sheen swing offset path form brush shot mass barely coal moss fury otter trail cast
        cold hard blur gloss busy bleak corner juts boast boasts note stock bulk fade fades spike making hear
        patter beast bead tale chain drown quiet witch moth brother fathers hands seal slides bare tough skies
        crowed tick swept tape kinda wheat float sight bend staring startling
    """,
    "function": """
        bird birdie a an the this that these those it its it's his her their he she they them him i you we there
        here is are was were be been being am has have had having with without and or but nor of on in at to
        from for by as into onto upon over under above below along across around near through throughout between
        behind beneath underneath beside besides against towards toward off out up down also both all each every
        some any many most more less few several other another such same very really quite rather so too
        extremely relatively slightly somewhat fairly mostly mainly primarily predominantly predominately almost
        nearly entirely completely totally fully partially overall generally just only even well not no never
        which who whose where when while if then than because though although however except color colour
        colored coloured coloring colouring coloration colors hue hued tone toned tint tinted tinge tinged size
        sized shape shaped length kind type sort variety specimen particular appearance appears appear look
        looks looking seem seems show shows showing feature features featuring include includes including
        contain contains containing display displays get gets give gives go goes going make makes made sport
        sports come comes cover covers covered covering s t shade accent hint mix mixed mixture combination
        contrast compared comparison comparatively proportion proportionate like entire whole half slight bit
        various varying different multiple relative exception set mid way about aside yet otherwise else much
        lot lots what portion majority elsewhere amount ish extra similar next together thru additionally
        located plus thus start extend starting starts extending extends everywhere surrounding blend blended
        front matching visible part area region section rest top bottom end middle center base outer inner upper
        lower outside inside thing think thought heard see seen can could may might will would do does did
    """,
}
BIRDS = frozenset(
    """bird birdie fowl waterbird waterfowl seabird songbird shorebird albatross auklet blackbird bluebird bobolink
    bunting cardinal catbird chickadee cormorant cowbird crow cuckoo dove duck eagle finch flamingo flicker flycatcher
    frigatebird fulmar gadwall goldfinch goose geese grackle grebe grosbeak guillemot gull hawk hen heron hummingbird
    jaeger jay junco kingbird kingfisher kinglet kite lark loon mallard martin meadowlark merganser mockingbird
    nighthawk nightjar nutcracker nuthatch oriole ostrich ovenbird owl parakeet parrot partridge peacock pelican
    penguin pewee pheasant pigeon pipit puffin quail raven redstart robin rooster chicken roadrunner sandpiper sapsucker
    seagull shrike sparrow starling stork swallow swan swift tanager tern thrasher thrush titmouse toucan towhee turkey
    violetear vireo vulture warbler waxwing woodpecker wren yellowthroat""".split()  # noqa: SIM905
)
"""Words that name a bird."""
SURROUNDINGS = frozenset(
    "tree branch twig leaf grass flower bush water sea beach lake sky ground rock wood forest sun nest".split()  # noqa: SIM905
)
"""What a bird is shown with."""
FAMILIES = """
    red crimson scarlet ruby maroon burgundy vermilion reddish rust rufous russet auburn
    brown brownish tan beige taupe khaki fawn sandy tawny buff chestnut chocolate coffee cinnamon copper bronze
    yellow yellowish gold mustard lemon amber blonde
    orange orangish peach apricot salmon coral
    green greenish olive lime emerald chartreuse
    blue bluish navy teal turquoise aqua cyan cobalt azure indigo periwinkle sapphire
    purple purplish violet lavender magenta lilac
    pink pinkish rose fuchsia
    black blackish ebony charcoal jet
    white whitish ivory cream snowy
    gray grayish silver slate ash smoky
    small tiny
    large huge
    crown crest head forehead cap hood
    breast belly underside
    wing wingbar wingtip primary secondary covert
    tail undertail uppertail rectrix
    leg foot tarsus toe claw thigh
    eyebrow eyeline eyering eyepatch
    spot speckle
    stripe streak bar band line strip
"""
"""Meanings that are near each other, one family a line: a word of one is another word, but the likeliest to stand for
it. So "crimson" that is read back as "red" is changed, not kept."""


class Entry(NamedTuple):
    """What is known of a word."""

    kind: Kind
    meaning: str
    """The word that stands for all with its meaning."""


def _read(meanings: dict[Kind, str]) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for kind, text in meanings.items():
        for line in text.split("\n"):
            words = line.split()
            for word in words:
                if word in found:
                    raise ValueError(f"{word!r} is listed twice, as {found[word].kind} and as {kind}")
                found[word] = Entry(kind, word if kind in ("function", "other") else words[0])
    return found


WORDS = _read(MEANINGS)
FAMILY = {word: words[0] for line in FAMILIES.split("\n") if (words := line.split()) for word in words}
"""The first meaning of its family, of every meaning that has one."""


@lru_cache(maxsize=4096)
def entry(word: str) -> Entry:
    """What is known of a word, whatever its case.

    A word that is not listed is tried without its ending (plural, comparative, adverb), and then, from four letters on,
    as one with a single slip: a letter too many, one too few, or two neighbours swapped, but never the first. So
    "smal", "yelow" and "blakc" mean what they should; what is still not found is of kind "other".
    """
    word = word.casefold()[:40]
    if found := _inflected(word):
        return found
    if word in BIRDS or word.removesuffix("s") in BIRDS:
        return Entry("noun", word if word in BIRDS else word.removesuffix("s"))
    if len(word) >= 4 and word.isascii() and word.isalpha():
        for slip in _slips(word):
            if found := WORDS.get(slip) or WORDS.get(slip.removesuffix("s")):
                return found
    return Entry("other", word.removesuffix("s") if len(word) > 3 and not word.endswith("ss") else word)


def _inflected(word: str) -> Entry | None:
    """The entry of a word or of what it is an inflection of."""
    return next((WORDS[stem] for stem in _stems(word) if stem in WORDS), None)


def _stems(word: str) -> list[str]:
    """The word, and what it may be an inflection of."""
    stems = [word]
    endings = ("'s", ""), ("ies", "y"), ("es", ""), ("s", ""), ("ier", "y"), ("iest", "y"), ("ily", "y")
    for ending, instead in (*endings, ("er", ""), ("est", ""), ("ly", ""), ("er", "e"), ("est", "e")):
        stem = word.removesuffix(ending)
        if stem != word and len(stem) >= 3:
            stems.append(stem + instead)
            if ending in ("er", "est") and stem[-1] == stem[-2]:
                stems.append(stem[:-1])  # bigger, thinner
    return stems


def _slips(word: str) -> list[str]:
    """What may have been meant by a word with one slip, without the first letter."""
    cuts = range(1, len(word))
    swapped = [word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in cuts if at + 1 < len(word)]
    less = [word[:at] + word[at + 1 :] for at in cuts if len(word) > 4]
    more = [word[:at] + letter + word[at:] for at in (*cuts, len(word)) for letter in "abcdefghijklmnopqrstuvwxyz"]
    return swapped + less + more


def off_topic(words: Sequence[str], unfamiliar: Collection[int] = ()) -> list[int]:
    """Which words of a caption name something else than a bird; none if it names a bird.

    Args:
        unfamiliar: positions of words that a model of birds does not know, or hardly.

    Returns:
        positions of nouns such as "car"; and, if no part of a bird is named either, of "tree" or "water" and of what is
        unfamiliar and is no word for a bird's look.
    """
    entries = [entry(word) for word in words]
    if any(found.meaning in BIRDS for found in entries):
        return []
    about_a_bird = any(found.kind == "part" for found in entries)
    return [
        at
        for at, found in enumerate(entries)
        if (found.kind == "noun" and not (about_a_bird and found.meaning in SURROUNDINGS))
        or (found.kind == "other" and at in unfamiliar and not about_a_bird)
    ]
